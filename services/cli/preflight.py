"""Before there is money in it: which checks of `bulkhead doctor` must pass, and what `up` does in live mode while one does not or no certificate (`unlock`) is in force.

Critical is what loses money or cannot be repaired under way. What only makes us blind or silent for a while (history, a model's
server, a port) is told, and stops nothing. The database is critical here alone: once trading, losing it degrades, no more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from libs.research.certificate import CertificateRefused
from libs.runtime.settings import SettingsError
from services.cli.doctor import Finding, examine_machine
from services.cli.doctor_stack import every_complaint, examine_stack
from services.cli.exit_codes import CONFIG, Failure
from services.cli.place import find_place, stack_settings
from services.cli.stack import StackSettings
from services.cli.unlock import certificate_in_force

CRITICAL = (
    "python",
    "startup",
    "nats-server",
    "home",
    "keys",
    "disk",
    "clock",
    "settings",
    "bus",
    "bus clock",
    "database",
    "credentials",
    "venue",
    "venue key",
    "venue clock",
    "telegram",
)
"""The checks, by name, and every `settings of ...`."""


def is_critical(check: str) -> bool:
    """Whether live trading does not begin while this check fails."""
    return check in CRITICAL or check.startswith("settings of ")


def marked(findings: Iterable[Finding]) -> list[Finding]:
    """The same findings, each saying whether it is critical."""
    return [msgspec.structs.replace(each, critical=is_critical(each.check)) for each in findings]


def what_stands_against_it(findings: Iterable[Finding]) -> list[Finding]:
    """The critical checks that fail."""
    return [each for each in findings if each.level == "FAIL" and is_critical(each.check)]


def examine(home: Path | None, data: Path | None) -> list[Finding]:
    """Every check: of the machine, of the settings, of the venue that would be traded with the key that would be used."""
    try:
        settings = stack_settings(home)
        place = find_place(home)
    except SettingsError as error:
        told = str(every_complaint(error, home, os.environ))
        bad = Finding("settings of the stack", "FAIL", told, "correct what is named")
        return marked([*examine_machine(home or Path(os.environ.get("BULKHEAD_HOME") or ".bulkhead")), bad])
    return marked([*examine_machine(settings.home), *examine_stack(settings, place, data)])


def findings_table(findings: Iterable[Finding]) -> RenderableType:
    """For people."""
    styles = {"OK": "green", "WARN": "bold yellow", "FAIL": "bold red"}
    table = Table(box=None, pad_edge=False, header_style="cyan")
    for name in ("", "check", "live", "found", "what to do"):
        table.add_column(name, overflow="fold")
    for each in findings:
        level, must = Text(each.level, style=styles[each.level]), "must" if each.critical else ""
        table.add_row(level, each.check, must, Text(each.text), Text(each.cure))
    return table


def refuse_live(settings: StackSettings, findings: Iterable[Finding]) -> None:
    """Return if live mode may start: no critical check fails, and a certificate unlocks it. What stands against it is told at once.

    Raises:
        Failure
    """
    against = [each.check for each in what_stands_against_it(findings)]
    told = [f"a critical check fails: {', '.join(against)}"] if against else []
    cures = ["do what the table says, then `bulkhead doctor`"] if against else []
    try:
        certificate_in_force(settings, time.time_ns())
    except CertificateRefused as refusal:
        told.append(str(refusal))
        cures.append(refusal.cure)
    if told:
        cures.append("or leave BULKHEAD_MODE at sim or paper")
        raise Failure(CONFIG, f"live mode does not start: {'; and '.join(told)}", "; ".join(cures))
