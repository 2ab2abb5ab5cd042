"""What is held, and whether stops at the venue cover it: folded from positions, reports of stops and the venue's rules. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import ExecutionReport, FeedStatus, PositionChanged
from libs.common.money import ZERO

OPEN = ("NEW", "PARTIALLY_FILLED", "PENDING_CANCEL")
NAMED_MAX = 10


class Held(msgspec.Struct, frozen=True):
    """A position; `px` is what it was entered at on average."""

    signed_qty: Decimal
    px: Decimal


class Stop(msgspec.Struct, frozen=True):
    """An open stop of `qty`."""

    instrument: str
    qty: Decimal


class Rule(msgspec.Struct, frozen=True):
    """What a venue takes an order for: at least this much, worth this much, in steps of this."""

    qty_min: Decimal
    notional_min: Decimal
    qty_step: Decimal


class Holdings(msgspec.Struct, kw_only=True):
    """Positions that are not flat and rules by instrument, open stops by client order id."""

    held: dict[str, Held] = {}
    stops: dict[str, Stop] = {}
    rules: dict[str, Rule] = {}

    def take_position(self, changed: PositionChanged) -> None:
        """Where we stand in one instrument now."""
        if changed.signed_qty.is_zero():
            self.held.pop(changed.instrument, None)
        else:
            self.held[changed.instrument] = Held(changed.signed_qty, changed.avg_entry_px)

    def take_report(self, report: ExecutionReport) -> None:
        """Where an order stands now; only stops matter here. One whose fate is not known covers nothing."""
        if report.role != "STOP":
            return
        if report.ord_status in OPEN:
            self.stops[report.cl_ord_id] = Stop(report.instrument, report.leaves_qty)
        else:
            self.stops.pop(report.cl_ord_id, None)

    def take_rules(self, status: FeedStatus) -> None:
        """What the venue takes orders for."""
        for spec in status.specs:
            self.rules[spec.instrument] = Rule(spec.qty_min, spec.notional_min, spec.qty_step)

    def text(self) -> str:
        """Each position and whether its stops cover it; `NO STOP` stands out, and comes first."""
        if not self.held:
            return "no open position"
        lines = sorted((self._cover(name), name) for name in self.held)
        shown = [f"{name} {self.held[name].signed_qty.normalize():f} {WORDS[cover]}" for cover, name in lines]
        more = f" and {len(shown) - NAMED_MAX} more" if len(shown) > NAMED_MAX else ""
        plural = "s" if len(shown) > 1 else ""
        return f"{len(shown)} open position{plural}: {', '.join(shown[:NAMED_MAX])}{more}"

    def _cover(self, name: str) -> int:
        held, rule = self.held[name], self.rules.get(name)
        size = abs(held.signed_qty)
        stopped = sum((each.qty for each in self.stops.values() if each.instrument == name), ZERO)
        if stopped <= 0:
            is_dust = rule is not None and (size < rule.qty_min or size * held.px < rule.notional_min)
            return DUST if is_dust else BARE
        open_qty = size - stopped
        return COVERED if open_qty <= 0 or (rule is not None and open_qty < rule.qty_step) else PARTLY


BARE, PARTLY, COVERED, DUST = range(4)
WORDS = ("NO STOP", "A STOP FOR A PART ONLY", "with a stop", "(too little for a stop)")
