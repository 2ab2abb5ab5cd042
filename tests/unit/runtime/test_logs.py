"""One safe JSON line per event, from everything in the process."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from types import SimpleNamespace

import pytest

from libs.runtime import logs
from libs.runtime.redaction import MASK
from libs.runtime.tracing import trace_id_of
from tests.unit.runtime.conftest import SECRET, LogOutput


def test_an_event_is_one_line_with_its_service(log_output: LogOutput) -> None:
    """Every line says when, how bad, who and what, in that order."""
    log = logs.configure("risk-gate", "info", log_output)
    log.info("order_denied", instrument="BTC-USDT", reasons=["STALE"])
    log.debug("not asked for")
    (event,) = log_output.events
    assert list(event)[:4] == ["timestamp", "level", "service", "event"]
    assert (event["service"], event["level"], event["event"]) == ("risk-gate", "info", "order_denied")
    assert (event["instrument"], event["reasons"]) == ("BTC-USDT", ["STALE"])


def test_lines_within_a_message_carry_its_story(log_output: LogOutput) -> None:
    """Whatever is said while a message is handled can be found by its correlation id and its trace id."""
    log = logs.configure("ledger", "info", log_output)
    with logs.bind("story"):
        log.info("inside")
        logging.getLogger("sqlalchemy.pool").warning("also inside")
    log.info("outside")
    first, second, third = log_output.events
    assert first["correlation_id"] == second["correlation_id"] == "story"
    assert first["trace_id"] == second["trace_id"] == trace_id_of("story")
    assert "correlation_id" not in third


def test_foreign_loggers_and_warnings_are_covered(log_output: LogOutput) -> None:
    """aiohttp, ccxt and the warnings module speak through the same redaction; their debug lines are not asked for."""
    logs.configure("order-executor", "debug", log_output)
    logging.getLogger("ccxt.base.exchange").debug("binance POST, Request: %s", SECRET)
    logging.getLogger("aiohttp.client").error("cannot %s", f"/bot123:{'x' * 40}/getMe", extra={"header": SECRET})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(f"old {SECRET}", stacklevel=1)
    logging.getLogger("libs.runtime.clock").debug("ours speaks")
    assert [event["logger"] for event in log_output.events] == ["aiohttp.client", "py.warnings", "libs.runtime.clock"]
    assert SECRET not in log_output.getvalue()
    assert "x" * 40 not in log_output.getvalue()
    assert {event["service"] for event in log_output.events} == {"order-executor"}


def test_noise_of_libraries_is_left_out(log_output: LogOutput) -> None:
    """What asyncio warns of at the end of every TLS connection says nothing about this system; its next line does."""
    logs.configure("ledger", "info", log_output)
    logging.getLogger("asyncio").warning(logs.NOISE[0])
    logging.getLogger("asyncio").warning("something else")
    assert [event["event"] for event in log_output.events] == ["something else"]


def test_exceptions_are_told_without_their_secrets(log_output: LogOutput) -> None:
    """A traceback names the error; neither it nor its causes show a secret."""
    log = logs.configure("ledger", "info", log_output)
    try:
        try:
            raise OSError(f"refused by postgresql://u:{SECRET}@db/x")
        except OSError as cause:
            raise ValueError(f"password={SECRET}") from cause
    except ValueError:
        log.exception("failed", error=ValueError(SECRET))
    (event,) = log_output.events
    assert "ValueError" in event["exception"]
    assert "OSError" in event["exception"]
    assert SECRET not in log_output.getvalue()


def test_uncaught_exceptions_are_lines_too(log_output: LogOutput) -> None:
    """The last words of a dying process, thread or finaliser are JSON and safe; Ctrl-C is not news."""
    logs.configure("ledger", "info", log_output)
    error = RuntimeError(SECRET)
    sys.excepthook(RuntimeError, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    thread = threading.Thread(target=lambda: (_ for _ in ()).throw(RuntimeError(SECRET)))
    thread.start()
    thread.join()
    sys.unraisablehook(SimpleNamespace(exc_type=RuntimeError, exc_value=error, exc_traceback=None))
    sys.unraisablehook(SimpleNamespace(exc_type=None, exc_value=None, exc_traceback=None))
    threading.excepthook(SimpleNamespace(exc_type=SystemExit, exc_value=None, exc_traceback=None))
    assert [event["event"] for event in log_output.events] == ["uncaught_exception"] * 3
    assert {event["level"] for event in log_output.events} == {"critical"}
    assert SECRET not in log_output.getvalue()
    assert MASK in log_output.getvalue()


def test_a_line_that_cannot_be_made_safe_is_dropped_and_counted(
    log_output: LogOutput, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rather no line than a raw one; and logging never breaks its caller."""

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError(SECRET)

    log = logs.configure("ledger", "info", log_output)
    before = logs.lines_dropped()
    log.info("odd", value=Hostile())
    ours = next(handler for handler in logging.getLogger().handlers if isinstance(handler, logs.SafeLines))
    ours.handle(logging.LogRecord("some.library", logging.WARNING, "x.py", 1, "%d", (SECRET,), None))
    log.info("still here")
    assert [event["event"] for event in log_output.events] == ["still here"]
    assert logs.lines_dropped() == before + 2
    told = capsys.readouterr()
    assert told.out + told.err == ""


def test_configuring_again_replaces(log_output: LogOutput) -> None:
    """A second configuration does not double the lines; an unknown level is an error."""
    logs.configure("ledger", "error", log_output)
    log = logs.configure("ledger", "info", log_output)
    log.info("once")
    assert len(log_output.events) == 1
    with pytest.raises(KeyError):
        logs.configure("ledger", "loud", log_output)
