"""What the risk gate said of an intent, check by check, and how much room each limit left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import Check, OrderApproved, OrderDenied
from libs.desk.saying import time_of
from libs.desk.story_target import LATEST, PREFIX_CHARS_MIN
from libs.runtime.adapter import LogEntry

Judged = OrderApproved | OrderDenied
EXEMPT = "exempt"
_NUMBER = r"(-?\d+(?:\.\d+)?)(?:\s*ms)?"
_VALUE = re.compile(_NUMBER + r"(?:\s|$)")
_LIMIT = re.compile(r"(at least|less than|below)?\s*" + _NUMBER + r"(?:[\s,]|$)")


class Verdict(msgspec.Struct, frozen=True):
    """A verdict and where it stands in the log."""

    seq: int
    said: Judged

    @property
    def word(self) -> str:
        """APPROVED or DENIED."""
        return "APPROVED" if isinstance(self.said, OrderApproved) else "DENIED"


def verdicts_on(log: Sequence[LogEntry], wanted: str) -> list[Verdict]:
    """The verdicts on intents whose id begins with `wanted` (at least eight characters of it), or the newest one (`latest`)."""
    if wanted == LATEST:
        return newest_verdicts(log)[:1]
    if len(wanted) < PREFIX_CHARS_MIN:
        return []
    return [found for entry in log if (found := _read(entry)) and found.said.intent_id.startswith(wanted)]


def newest_verdicts(log: Sequence[LogEntry]) -> list[Verdict]:
    """The newest verdict on an entry into each instrument, newest first."""
    found: dict[str, Verdict] = {}
    for place in range(len(log) - 1, -1, -1):
        verdict = _read(log[place])
        if verdict is not None and not _is_exit(verdict.said):
            found.setdefault(verdict.said.instrument, verdict)
    return list(found.values())


def headroom_of(check: Check) -> Decimal | None:
    """How far the value may still move before the check fails (below 0: how far it is beyond); None where it is no number."""
    value, limit = _VALUE.match(check.value), _LIMIT.match(check.limit)
    if value is None or limit is None:
        return None
    room = Decimal(limit.group(2)) - Decimal(value.group(1))
    return -room if limit.group(1) == "at least" else room


def share_left(check: Check) -> float:
    """What part of the way to its limit a check has left, to sort by: 0 at the limit, below 0 beyond it, 1 as far away as can be."""
    value, limit, room = _VALUE.match(check.value), _LIMIT.match(check.limit), headroom_of(check)
    if value is None or limit is None or room is None:
        return 1.0
    whole = Decimal((value if limit.group(1) == "at least" else limit).groups()[-1])
    return float(room / whole) if whole else 1.0 if room >= 0 else -1.0


def measured(code: str, text: str) -> str:
    """A check's number as people read it: moments are written in ns, ages in ms, and nobody reads more than six decimals."""
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        return text
    match code:
        case "STALE_INTENT":
            return time_of(int(text)) if text.isdigit() else text
        case "STALE_PRICE" | "STALE_SIGNAL" | "RECONCILED_AGE":
            return f"{plain(Decimal(text))} ms"
        case _:
            return plain(Decimal(text))


def room_in_words(check: Check) -> str:
    """The room that a check leaves, with its unit; empty where it is no number."""
    room = headroom_of(check)
    if room is None:
        return ""
    if check.code == "STALE_INTENT":
        return f"{plain(room / 1_000_000)} ms"
    return measured(check.code, f"{room:f}")


def plain(number: Decimal) -> str:
    """Without an exponent, with six decimals at most, and with none that say nothing."""
    shown = f"{round(number, 6):f}" if number.as_tuple().exponent < -6 else f"{number:f}"  # type: ignore[operator]
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown) or "0"


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Everything, for scripts."""
    said = verdict.said
    return {
        "seq": verdict.seq,
        "verdict": verdict.word,
        "intent_id": said.intent_id,
        "instrument": said.instrument,
        "side": said.side,
        "order_qty": f"{said.order_qty:f}",
        "reasons": list(said.reasons) if isinstance(said, OrderDenied) else [],
        "checks": [_check_json(check) for check in said.checks],
    }


def _check_json(check: Check) -> dict[str, Any]:
    room = headroom_of(check)
    return {**msgspec.structs.asdict(check), "headroom": None if room is None else f"{room:f}"}


def _is_exit(said: Judged) -> bool:
    return any(check.limit == EXEMPT and check.code != "REDUCE_ONLY" for check in said.checks)


def _read(entry: LogEntry) -> Verdict | None:
    if not entry.subject.startswith(("risk.approved.", "risk.denied.")):
        return None
    try:
        said = decode_from(entry.subject, entry.payload)
    except BadEvent:
        return None  # it is told by `replay`, and explains nothing
    return Verdict(entry.seq, said) if isinstance(said, OrderApproved | OrderDenied) else None
