"""A machine's service as a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from libs.runtime.contract import Contract
from libs.runtime.lifetime import live_and_exit
from libs.runtime.live import AdapterFactory, LiveShell, Seal
from libs.runtime.machine import Machine
from libs.runtime.settings import ServiceSettings, settings_or_exit


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

    def born() -> LiveShell:
        return LiveShell(contract, machine_class, settings, adapter=adapter, seal=seal(settings) if seal else None)

    live_and_exit(contract.service, settings, born)
