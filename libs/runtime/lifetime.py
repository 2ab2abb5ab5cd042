"""A process of ours from its first line to its exit code: log, signals, what ends it and how that is told. The same for services and doors.

    told to stop                                          0
    settings, keys, a log that has lost events           78   only a person can help: on stderr, without secrets
    the bus, the clock, a port                           75   another start may find them
    anything else                                        70   a defect, told in full

Crash-only: whatever is not an operating error with a typed answer ends the process, and the next start reads what is on record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

import uvloop

from libs.runtime import logs
from libs.runtime.bus import BusError
from libs.runtime.clock import ClockUnavailable
from libs.runtime.nats_config import KeysError
from libs.runtime.ports import PortTaken
from libs.runtime.recovery import LogWentBackwards
from libs.runtime.redaction import redact
from libs.runtime.settings import EX_CONFIG, ServiceSettings, SettingsError, settings_in_question
from libs.runtime.stopping import on_stop_signal

EX_OK = 0
EX_SOFTWARE = 70
EX_TEMPFAIL = 75


class Life(Protocol):
    """What a process is there for."""

    async def run(self) -> None:
        """Until told to stop; raises what ended it otherwise."""

    def stop(self) -> None:
        """End soon, and cleanly."""


def live_and_exit(service: str, settings: ServiceSettings, born: Callable[[], Life]) -> NoReturn:
    """Live until SIGTERM or SIGINT, or until it ends; the process exits with 0, 70, 75 or 78."""
    sys.exit(uvloop.run(lived(service, settings, born)))


async def lived(service: str, settings: ServiceSettings, born: Callable[[], Life]) -> int:
    """Live once as `service`; the exit code."""
    logger, exit_code = logs.configure(service, settings.log_level), EX_OK
    for question in settings_in_question(settings):
        logger.warning("setting_in_question", reason=question)
    try:
        life = born()
        on_stop_signal(life.stop)
        await life.run()
    except* (KeysError, SettingsError, LogWentBackwards) as group:
        print(f"bulkhead refuses to start:\n{redact(str(next(_errors_in(group))))}", file=sys.stderr)
        exit_code = EX_CONFIG
    except* (BusError, ClockUnavailable, PortTaken) as group:
        logger.error("ended", reason=[str(error) for error in _errors_in(group)])
        exit_code = EX_TEMPFAIL
    except* Exception as group:  # crash-only: whatever it was, it is told in full and the process ends
        logger.error("crashed", exc_info=group)
        exit_code = EX_SOFTWARE
    return exit_code


def _errors_in(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """What went wrong, however deep in groups of groups."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _errors_in(each)
        else:
            yield each
