"""What the bot counts about itself. No label is anything that somebody wrote."""

from __future__ import annotations

from prometheus_client import Counter

from libs.runtime.metrics import ServiceMetrics

OTHER = "other"


class Series:
    """The series of one bot, beside those that every service has."""

    def __init__(self, metrics: ServiceMetrics):
        self._service = metrics.service
        registry = metrics.registry
        self._refused = Counter(
            "bulkhead_access_refused", "requests turned away", ("service", "door", "why"), registry=registry
        )
        self._asked = Counter(
            "bulkhead_telegram_requests",
            "what was asked of Telegram",
            ("service", "method", "outcome"),
            registry=registry,
        )
        self._heard = Counter(
            "bulkhead_telegram_heard", "what people have said and was heard", ("service", "word"), registry=registry
        )
        self._token_reads = Counter(
            "bulkhead_telegram_token_reads", "the token's file was read again", ("service",), registry=registry
        )
        self._unsent = Counter(
            "bulkhead_telegram_unsent", "answers that did not leave", ("service",), registry=registry
        )
        self._token_reads.labels(self._service)
        self._unsent.labels(self._service)

    def refused(self, why: str) -> None:
        """Somebody was turned away."""
        self._refused.labels(self._service, "telegram", why).inc()

    def asked(self, method: str, outcome: str) -> None:
        """A request to Telegram had this outcome (a slug)."""
        self._asked.labels(self._service, method, outcome).inc()

    def heard(self, word: str) -> None:
        """Somebody was heard; `word` is one of ours."""
        self._heard.labels(self._service, word).inc()

    def token_read(self) -> None:
        """The token's file was read again."""
        self._token_reads.labels(self._service).inc()

    def unsent(self) -> None:
        """An answer did not leave."""
        self._unsent.labels(self._service).inc()
