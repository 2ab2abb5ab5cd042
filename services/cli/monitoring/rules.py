"""What a rule is, and how a file of rules is written. Every alert names its runbook: an alert of our catalogue, or a section of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from libs.common.alerts import RUNBOOKS, runbook_of
from libs.desk.watchman import WatchLimits

Severity = Literal["page", "ticket", "watchdog"]
OWN_RUNBOOK = f"{RUNBOOKS}/prometheus.md"
"""Where the sections are of what only Prometheus can see."""
VITAL = "|".join(sorted(WatchLimits().vital))
"""The services whose failure pages, as a regular expression."""
WRITTEN = "# Written by docs/generate.py from services/cli/monitoring; `make docs` writes it again. For other thresholds: `bulkhead monitoring`.\n"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A recording rule: `level:metric:operations`."""

    record: str
    expr: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """An alerting rule. `code` is the alert of ours that says the same and whose runbook counts ("": it has a section of its own)."""

    alert: str
    expr: str
    severity: Severity
    summary: str
    action: str
    code: str = ""
    hold: str = "0s"
    labels: dict[str, str] = {}

    def runbook(self, base: str) -> str:
        """Where it says what to do; `base` stands for docs/runbooks."""
        own = f"{OWN_RUNBOOK}#{words_of(self.alert).lower().replace(' ', '-')}"
        anchor = runbook_of(self.code) if self.code else own
        return base + anchor.removeprefix(RUNBOOKS)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that are evaluated one after the other; `why` is said above them."""

    name: str
    why: str
    rules: Sequence[Record | Rule]


def words_of(alert: str) -> str:
    """`TargetsMissing` as people write it: Targets missing."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", alert).capitalize()


def file_of(groups: Iterable[Group], runbooks: str) -> str:
    """The text of a file of rules."""
    lines = [WRITTEN + "groups:"]
    for group in groups:
        lines += [f"  # {group.why}", f"  - name: {group.name}", "    rules:"]
        for rule in group.rules:
            lines += _record(rule) if isinstance(rule, Record) else _alert(rule, runbooks)
    return "\n".join(lines) + "\n"


def _quoted(expr: str) -> str:
    """In YAML's plain quotes, so that it reads as Prometheus shows it."""
    return "'" + expr.replace("'", "''") + "'"


def _record(rule: Record) -> Iterator[str]:
    yield f"      - record: {rule.record}"
    yield f"        expr: {_quoted(rule.expr)}"


def _alert(rule: Rule, runbooks: str) -> Iterator[str]:
    yield f"      - alert: {rule.alert}"
    yield f"        expr: {_quoted(rule.expr)}"
    if rule.hold != "0s":
        yield f"        for: {rule.hold}"
    yield "        labels:"
    for name, value in {"severity": rule.severity, **rule.labels}.items():
        yield f"          {name}: {json.dumps(value)}"
    yield "        annotations:"
    for name, value in (("summary", rule.summary), ("action", rule.action), ("runbook_url", rule.runbook(runbooks))):
        yield f"          {name}: {json.dumps(value, ensure_ascii=False)}"
