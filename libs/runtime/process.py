"""A service as a process: settings, signals, exit codes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import uvloop

from libs.runtime import logs
from libs.runtime.bus import BusError
from libs.runtime.clock import ClockUnavailable
from libs.runtime.contract import Contract
from libs.runtime.live import AdapterFactory, LiveShell, PortTaken, Seal
from libs.runtime.machine import Machine
from libs.runtime.nats_config import KeysError
from libs.runtime.recovery import LogWentBackwards
from libs.runtime.redaction import redact
from libs.runtime.settings import EX_CONFIG, ServiceSettings, SettingsError, settings_in_question, settings_or_exit

EX_OK = 0
EX_SOFTWARE = 70
EX_TEMPFAIL = 75


def run(
    contract: Contract,
    machine_class: type[Machine],
    settings_class: type[ServiceSettings],
    *,
    adapter: AdapterFactory | None = None,
    seal: Callable[[Any], Seal] | None = None,
) -> NoReturn:
    """Run one service until SIGTERM or SIGINT; exits 0, 70 (a defect), 75 (try again) or 78 (only a human can help: settings,
    keys, a log that has lost events)."""
    settings = settings_or_exit(settings_class)
    sys.exit(uvloop.run(_run(contract, machine_class, settings, adapter, seal)))


async def _run(
    contract: Contract,
    machine_class: type[Machine],
    settings: ServiceSettings,
    adapter: AdapterFactory | None,
    seal: Callable[[Any], Seal] | None,
) -> int:
    logger = logs.configure(contract.service, settings.log_level)
    loop = asyncio.get_running_loop()
    exit_code = EX_OK
    for question in settings_in_question(settings):
        logger.warning("setting_in_question", reason=question)
    try:
        shell = LiveShell(contract, machine_class, settings, adapter=adapter, seal=seal(settings) if seal else None)
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, shell.stop)
        await shell.run()
    except* (KeysError, SettingsError, LogWentBackwards) as group:
        print(f"bulkhead refuses to start:\n{redact(str(group.exceptions[0]))}", file=sys.stderr)
        exit_code = EX_CONFIG
    except* (BusError, ClockUnavailable, PortTaken) as group:
        logger.error("ended", reason=[str(error) for error in group.exceptions])
        exit_code = EX_TEMPFAIL
    except* Exception as group:  # crash-only: whatever it was, it is told in full and the process ends
        logger.error("crashed", exc_info=group)
        exit_code = EX_SOFTWARE
    return exit_code
