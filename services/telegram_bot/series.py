"""What the bot counts about itself. No label is anything that somebody wrote."""

from __future__ import annotations

from libs.common.metrics import doors as declared
from libs.runtime.made_metrics import counter_of
from libs.runtime.metrics import ServiceMetrics

OTHER = "other"


class Series:
    """The series of one bot, beside those that every service has."""

    def __init__(self, metrics: ServiceMetrics):
        self._service = metrics.service
        registry = metrics.registry
        self._refused = counter_of(declared.ACCESS_REFUSED, registry)
        self._asked = counter_of(declared.TELEGRAM_REQUESTS, registry)
        self._heard = counter_of(declared.TELEGRAM_HEARD, registry)
        self._token_reads = counter_of(declared.TELEGRAM_TOKEN_READS, registry)
        self._unsent = counter_of(declared.TELEGRAM_UNSENT, registry)
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
