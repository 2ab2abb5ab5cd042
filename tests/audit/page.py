"""The page that an audit leaves behind."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import datetime

from tests.audit.facts import Verdict
from tests.audit.judging import Row
from tests.style.tree import ROOT

HEAD = """# Security audit

<!-- Written by `make audit` from what it ran; a verdict is never written by hand. -->

Verdict: {verdict}

Made on {day} of commit `{commit}`. {counts}

This audits the code by its own tests and tools, run at that moment on one machine; it is no look by a stranger ([SECURITY.md](SECURITY.md#what-is-not-done)). NOT RUN says that nothing is known:
the service or the tool was out of reach. A subject is PASS only if everything it names ran and held; what single tests left out is told beside it.

| subject | verdict | what is to hold | what was seen |
|---|---|---|---|
"""
SHOWN_AGAIN = """
## How to see it again

`make audit` runs all of it and writes this page (exit code 1 where something does not hold). One subject alone:

"""


def overall(rows: Sequence[Row]) -> Verdict:
    """FAIL where one fails. What did not run is told, and fails nothing: but where nothing ran, nothing passed."""
    verdicts = {each.verdict for each in rows}
    return "FAIL" if "FAIL" in verdicts else "PASS" if "PASS" in verdicts else "NOT RUN"


def page(rows: Sequence[Row], now: datetime) -> str:
    """The page, for people and for `bulkhead graduate`, which reads its verdict."""
    not_run = [each.subject.name for each in rows if each.verdict == "NOT RUN"]
    passed = sum(each.verdict == "PASS" for each in rows)
    counts = f"{passed} of {len(rows)} subjects passed" + (f"; not run: {', '.join(not_run)}." if not_run else ".")
    text = HEAD.format(verdict=overall(rows), day=f"{now:%Y-%m-%d %H:%M} UTC", commit=_commit(), counts=counts)
    for each in rows:
        cells = (each.subject.name, each.verdict, each.subject.holds, each.seen)
        text += f"| {' | '.join(_cell(cell) for cell in cells)} |\n"
    text += SHOWN_AGAIN
    for each in rows:
        text += f"**{each.subject.name}**\n\n```sh\n{each.subject.command}\n```\n\n"
    return text.rstrip("\n") + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace(str(ROOT), ".").split())


def _commit() -> str:
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=, with changes that were not committed", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"
