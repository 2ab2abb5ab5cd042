"""What no single setting can know of itself: which values are dangerous, alone or together. Pure: values in, verdicts out.

A *danger* is refused; a *question* is told, with its reason, and may be meant. A rule speaks only where every value that it needs is
known, so the same rules hold for a whole stack and for one service that sees little besides itself. Limits may be met, not passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from libs.runtime.setting_limits import CEILINGS, ORDERS, Ceiling, Order, Values
from libs.runtime.setting_pairs import MATCHES, Match

Level = Literal["danger", "question"]


class Verdict(msgspec.Struct, frozen=True):
    """One thing that is dangerous or questionable: the settings it is about, and a line that says why."""

    level: Level
    variables: tuple[str, ...]
    text: str

    def at(self, places: Sequence[str]) -> Verdict:
        """The same, with where the settings stand."""
        return msgspec.structs.replace(self, text=f"{self.text} ({'; '.join(places)})") if places else self


def judged(values: Values) -> list[Verdict]:
    """Every verdict on `values` (by variable, numbers as Decimal), dangers first."""
    found = [*_ceilings(values), *_orders(values), *_matches(values)]
    return sorted(found, key=lambda each: each.level)


def dangers_in(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """What must be refused."""
    return [each for each in verdicts if each.level == "danger"]


def questions_in(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """What should be told."""
    return [each for each in verdicts if each.level == "question"]


def _ceilings(values: Values) -> Iterator[Verdict]:
    for rule in CEILINGS:
        value = values.get(rule.variable)
        if isinstance(value, Decimal) and rule.when(values):
            yield from _above(rule, value)


def _above(rule: Ceiling, value: Decimal) -> Iterator[Verdict]:
    said = f"{rule.variable}: got '{value}'"
    if rule.refused_above is not None and value > rule.refused_above:
        yield Verdict("danger", (rule.variable,), f"{said}; more than {rule.refused_above} is refused: {rule.why}")
    elif rule.asked_above is not None and value > rule.asked_above:
        yield Verdict("question", (rule.variable,), f"{said}; more than {rule.asked_above} is much: {rule.why}")


def _orders(values: Values) -> Iterator[Verdict]:
    for rule in ORDERS:
        low, high = values.get(rule.low), values.get(rule.high)
        if isinstance(low, Decimal) and isinstance(high, Decimal) and rule.when(values) and not _holds(rule, low, high):
            wish = "below" if rule.is_strict else "at most"
            text = f"{rule.low}: got '{low}'; want it {wish} {rule.high}, which is '{high}': {rule.why}"
            yield Verdict(rule.level, (rule.low, rule.high), text)


def _holds(rule: Order, low: Decimal, high: Decimal) -> bool:
    low = low * rule.low_unit
    return low < high if rule.is_strict else low <= high


def _matches(values: Values) -> Iterator[Verdict]:
    for rule in MATCHES:
        if all(name in values for name in rule.variables) and not rule.unless(values):
            yield from _mismatch(rule, [values[name] for name in rule.variables])


def _mismatch(rule: Match, found: Sequence[Any]) -> Iterator[Verdict]:
    if not rule.agree(*found):
        pairs = zip(rule.variables, found, strict=True)
        said = ", ".join(f"{name} is '{value}'" for name, value in pairs)
        yield Verdict(rule.level, rule.variables, f"{said}: {rule.why}")
