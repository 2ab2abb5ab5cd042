"""What a service counts about itself, for Prometheus. Every series carries the service's name; labels have few values."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from libs.common.metrics import service as declared
from libs.runtime import logs
from libs.runtime.made_metrics import counter_of, exemplar, gauge_of, histogram_of
from libs.runtime.readiness import Readiness

LABEL_VALUES_MAX = 256
"""Beyond so many different values a label says `other`: whoever writes subjects must not be able to fill our memory."""

_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,64}")


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
        registry = self.registry
        self._inputs = counter_of(declared.INPUTS, registry)
        self._appended = counter_of(declared.APPENDED, registry)
        self._rejected = counter_of(declared.REJECTED, registry)
        self._market_dropped = counter_of(declared.MARKET_DROPPED, registry)
        self._lines_dropped = counter_of(declared.LINES_DROPPED, registry)
        self._handle = histogram_of(declared.HANDLE_SECONDS, registry)
        self._append = histogram_of(declared.APPEND_SECONDS, registry)
        self._ready = gauge_of(declared.READY, registry)
        self._leader = gauge_of(declared.LEADER, registry)
        self._pending = gauge_of(declared.PENDING_REQUESTS, registry)
        self._outbox = gauge_of(declared.OUTBOX, registry)
        self._lag = gauge_of(declared.LOG_LAG, registry)
        self._processed = gauge_of(declared.PROCESSED_SEQ, registry)
        self._tail = gauge_of(declared.LOG_TAIL_SEQ, registry)
        self._snapshot_age = gauge_of(declared.SNAPSHOT_AGE, registry)
        self._build = gauge_of(declared.BUILD_INFO, registry)
        self._began_at = time.monotonic()
        self.leads: Callable[[], bool] | None = None
        """Whether this process holds its service's lease; None: it has not asked for one."""

    def handled(self, kind: str, seconds: float, seq: int, lag: int, trace_id: str = "") -> None:
        """An input of `kind` at `seq` was handled; `lag` more are waiting. `trace_id`: where that can be seen."""
        self._inputs.labels(self.service, self._label("type", kind)).inc()
        self._handle.labels(self.service).observe(seconds, exemplar(trace_id))
        self._processed.labels(self.service).set(seq)
        self._lag.labels(self.service).set(lag)
        self._saw(seq)

    def appended(self, kind: str, seconds: float, seq: int, outbox: int, trace_id: str = "") -> None:
        """A message of `kind` is in the log at `seq`; `outbox` more are waiting. `trace_id`: where that can be seen."""
        self._appended.labels(self.service, self._label("type", kind)).inc()
        self._append.labels(self.service).observe(seconds, exemplar(trace_id))
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
        if self.leads is not None:
            self._leader.labels(self.service).set(self.leads())

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


def kind_of(subject: str) -> str:
    """The subject without its instrument: a label with few values."""
    return ".".join(token for token in subject.split(".") if "-" not in token)
