"""What a service counts about itself, for Prometheus. Every series carries the service's name; labels have few values."""

from __future__ import annotations

import re
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from libs.runtime import logs
from libs.runtime.readiness import Readiness

LABEL_VALUES_MAX = 256
"""Beyond so many different values a label says `other`: whoever writes subjects must not be able to fill our memory."""

_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ServiceMetrics:
    """The series of one service, in a registry of its own."""

    def __init__(self, service: str):
        self.service = service
        self.registry = CollectorRegistry()
        self._seen: dict[str, set[str]] = {}
        self._snapshot_at: float | None = None
        self._lines_dropped_shown = 0
        self._tail_seq = 0
        ProcessCollector(registry=self.registry)
        self._inputs = self._counter("inputs", "inputs of the log that were handled", "type")
        self._appended = self._counter("appended", "messages appended to the log", "type")
        self._rejected = self._counter("rejected", "inputs refused as poison", "reason")
        self._market_dropped = self._counter(
            "market_dropped", "market records dropped: the outlet was full or the bus away"
        )
        self._lines_dropped = self._counter(
            "log_lines_dropped", "log lines that could not be made safe, and were not written"
        )
        self._handle = self._histogram("handle_seconds", "time to handle one input")
        self._append = self._histogram("append_seconds", "time from sending an append to its acknowledgement")
        self._ready = self._gauge("ready", "1 while /readyz says ready")
        self._pending = self._gauge("pending_requests", "requests to the world without an answer")
        self._outbox = self._gauge("outbox", "outputs decided but not yet in the log")
        self._lag = self._gauge("log_lag", "inputs in the log that were not yet handled")
        self._processed = self._gauge("processed_seq", "the last input handled")
        self._tail = self._gauge("log_tail_seq", "the highest sequence of the log seen by this process")
        self._snapshot_age = self._gauge(
            "snapshot_age_seconds", "age of the last snapshot this process wrote (of its start before)"
        )
        self._build = Gauge(
            "bulkhead_build_info", "always 1; the code that runs", ("service", "code_version"), registry=self.registry
        )
        self._began_at = time.monotonic()

    def handled(self, kind: str, seconds: float, seq: int, lag: int) -> None:
        """An input of `kind` at `seq` was handled; `lag` more are waiting."""
        self._inputs.labels(self.service, self._label("type", kind)).inc()
        self._handle.labels(self.service).observe(seconds)
        self._processed.labels(self.service).set(seq)
        self._lag.labels(self.service).set(lag)
        self._saw(seq)

    def appended(self, kind: str, seconds: float, seq: int, outbox: int) -> None:
        """A message of `kind` is in the log at `seq`; `outbox` more are waiting."""
        self._appended.labels(self.service, self._label("type", kind)).inc()
        self._append.labels(self.service).observe(seconds)
        self._outbox.labels(self.service).set(outbox)
        self._saw(seq)

    def rejected(self, reason: str) -> None:
        """An input was refused for `reason` (a slug)."""
        self._rejected.labels(self.service, self._label("reason", reason)).inc()

    def market_dropped(self) -> None:
        """A record for the MARKET stream was dropped."""
        self._market_dropped.labels(self.service).inc()

    def snapshot_saved(self) -> None:
        """A snapshot was written just now."""
        self._snapshot_at = time.monotonic()

    def observe(self, readiness: Readiness) -> None:
        """Take over what a probe found."""
        self._ready.labels(self.service).set(readiness.ready)
        self._pending.labels(self.service).set(readiness.pending_requests)
        self._outbox.labels(self.service).set(readiness.outbox)
        self._lag.labels(self.service).set(readiness.lag)
        self._processed.labels(self.service).set(readiness.processed_seq)
        self._build.labels(self.service, readiness.code_version).set(1)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All series as Prometheus reads them, and their content type."""
        self._snapshot_age.labels(self.service).set(time.monotonic() - (self._snapshot_at or self._began_at))
        dropped = logs.lines_dropped()
        self._lines_dropped.labels(self.service).inc(dropped - self._lines_dropped_shown)
        self._lines_dropped_shown = dropped
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    # --- inside -----------------------------------------------------------------------------------------------

    def _saw(self, seq: int) -> None:
        self._tail_seq = max(self._tail_seq, seq)
        self._tail.labels(self.service).set(self._tail_seq)

    def _label(self, name: str, value: str) -> str:
        seen = self._seen.setdefault(name, set())
        if value in seen:
            return value
        if len(seen) >= LABEL_VALUES_MAX or not _LABEL.fullmatch(value):
            return "other"
        seen.add(value)
        return value

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"bulkhead_{name}", meaning, ("service", *labels), registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"bulkhead_{name}", meaning, ("service",), registry=self.registry)

    def _histogram(self, name: str, meaning: str) -> Histogram:
        return Histogram(f"bulkhead_{name}", meaning, ("service",), registry=self.registry, buckets=_FAST)


def kind_of(subject: str) -> str:
    """The subject without its instrument: a label with few values."""
    return ".".join(token for token in subject.split(".") if "-" not in token)
