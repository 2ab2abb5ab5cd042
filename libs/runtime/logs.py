"""One JSON line per event on stdout, from everything in the process, with no secret in it.

structlog's events, the standard library's logging (aiohttp, ccxt, nats, sqlalchemy), warnings and uncaught exceptions all end in
one handler, whose last step before rendering is redaction. A line that cannot be made safe is dropped and counted
(`lines_dropped`), never printed raw.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TextIO

import msgspec
import structlog

from libs.runtime.redaction import redact, redact_fields, register_secret
from libs.runtime.tracing import trace_id_of

__all__ = ["bind", "configure", "lines_dropped", "redact", "register_secret"]

OURS = ("libs", "services")
"""Loggers that obey the configured level; all others say nothing below `info` (ccxt's debug lines are whole HTTP exchanges)."""

NOISE = ("returning true from eof_received() has no effect when using ssl",)
"""What libraries warn of although nothing is wrong: the standard library's own stream protocol is asked this at the end of every TLS connection."""

_FIRST = ("timestamp", "level", "service", "event", "correlation_id", "trace_id", "logger")
_dropped = 0


def configure(service: str, level: str = "info", stream: TextIO | None = None) -> structlog.stdlib.BoundLogger:
    """Make this process log as `service` at `level` (debug, info, warning, error) to `stream` (stdout); returns its logger.

    Calling it again replaces what was configured before.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared = _shared_processors(service)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _redacted, _rendered],
    )
    _attach(SafeLines(stream or sys.stdout), formatter, threshold)
    _catch_uncaught()
    return structlog.get_logger(f"services.{service}")


def bind(correlation_id: str) -> AbstractContextManager[None]:
    """A context in which every line carries a story: its correlation id and trace id; tasks that begin in it carry it on."""
    return structlog.contextvars.bound_contextvars(correlation_id=correlation_id, trace_id=trace_id_of(correlation_id))


def lines_dropped() -> int:
    """How many lines this process could not make safe or write, and dropped."""
    return _dropped


class SafeLines(logging.StreamHandler):  # type: ignore[type-arg]
    """The one handler everything in the process ends in."""

    def __init__(self, stream: TextIO):
        super().__init__(stream)
        self.addFilter(lambda record: record.msg not in NOISE)

    def handleError(self, record: logging.LogRecord) -> None:
        """Count, and say nothing: the standard library would print the raw record, secrets and all."""
        global _dropped
        _dropped += 1


def _shared_processors(service: str) -> list[Any]:
    def with_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        with_service,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _redacted(_: Any, __: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    ordered = {name: event[name] for name in _FIRST if name in event}
    return redact_fields({**ordered, **event})


def _rendered(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(event).decode()


def _attach(handler: logging.Handler, formatter: logging.Formatter, threshold: int) -> None:
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, SafeLines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(threshold, logging.INFO))
    for name in OURS:
        logging.getLogger(name).setLevel(threshold)
    logging.captureWarnings(True)


def _catch_uncaught() -> None:
    log = structlog.get_logger("services.uncaught")

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.critical("uncaught_exception", exc_info=(kind, error, trace))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    def unraisable(args: Any) -> None:
        if args.exc_value is not None:
            uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    hooks: dict[str, Callable[..., None]] = {"excepthook": uncaught, "unraisablehook": unraisable}
    for name, hook in hooks.items():
        setattr(sys, name, hook)
    threading.excepthook = in_thread
