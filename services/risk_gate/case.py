"""One intent before the gate: what is asked, what is known, and the few numbers several checks share.

A number that is absent or absurd is None here, and every check that needs it fails. Prices are taken at their worst: a market
buy costs the higher of the price it was sized on and the mark, a limit buy its limit.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property

import msgspec

from libs.common.messages import InstrumentSpec, OrderIntent
from libs.common.money import ZERO, plain
from services.risk_gate.limits import Limits
from services.risk_gate.overrides import RISK_SHARE, MacroOverride
from services.risk_gate.view import OrderInFlight, View

NUMBER_MIN = Decimal("1E-12")
NUMBER_MAX = Decimal("1E+15")
DIGITS_MAX = 28
MISSING = "missing"
ABSURD = "out of range"


def is_sane(number: Decimal | None) -> bool:
    """Whether a quantity or price is one: finite, positive, and of a size that arithmetic keeps exact."""
    if number is None or not number.is_finite():
        return False
    if not NUMBER_MIN <= number <= NUMBER_MAX:
        return False
    return (
        len(str(number)) <= DIGITS_MAX or len(number.as_tuple().digits) <= DIGITS_MAX
    )  # it is written with all its digits


def shown(number: Decimal | int | None) -> str:
    """A number as a verdict shows it."""
    if number is None:
        return MISSING
    if isinstance(number, int):
        return str(number)
    if not number.is_finite() or abs(number.adjusted()) > DIGITS_MAX:
        return ABSURD  # not the number itself: a verdict must be able to stand in the log
    return f"{plain(number):f}"


class Case(msgspec.Struct, frozen=True, dict=True):
    """An intent with the view, the limits and the time it is judged by; none of them changes meanwhile, so a number is worked out once."""

    intent: OrderIntent
    view: View
    limits: Limits
    now: int

    @cached_property
    def qty(self) -> Decimal | None:
        """The wished quantity, if it is a number."""
        return self.intent.order_qty if is_sane(self.intent.order_qty) else None

    @cached_property
    def spec(self) -> InstrumentSpec | None:
        """The venue's rules for the instrument, if they are known and usable."""
        spec = self.view.specs.get(self.intent.instrument)
        if spec is None or not (is_sane(spec.px_tick) and is_sane(spec.qty_step)):
            return None
        not_negative = (spec.qty_min, spec.notional_min, spec.taker_fee)
        return spec if all(each.is_finite() and ZERO <= each <= NUMBER_MAX for each in not_negative) else None

    @cached_property
    def mid_px(self) -> Decimal | None:
        """The mark, if there is a usable one."""
        return self.view.mid_px(self.intent.instrument)

    @cached_property
    def own_px(self) -> Decimal | None:
        """The price the intent itself names: its limit, else the one it was sized on."""
        px = self.intent.ref_px if self.intent.limit_px is None else self.intent.limit_px
        return px if is_sane(px) else None

    @cached_property
    def entry_px(self) -> Decimal | None:
        """The worst price the entry may get."""
        own, mid = self.own_px, self.mid_px
        if own is None or mid is None or self.intent.limit_px is not None:
            return own
        return max(own, mid) if self.intent.side == "BUY" else min(own, mid)

    @cached_property
    def stop_px(self) -> Decimal | None:
        """The stop, if there is one and it is a number."""
        return self.intent.stop_px if is_sane(self.intent.stop_px) else None

    @cached_property
    def value(self) -> Decimal | None:
        """Quantity times the worst price."""
        return None if self.qty is None or self.entry_px is None else self.qty * self.entry_px

    @cached_property
    def equity(self) -> Decimal | None:
        """What limits are fractions of."""
        account = self.view.account
        if account is None or not account.equity.is_finite():
            return None
        return account.equity if ZERO < account.equity <= NUMBER_MAX else None

    def equity_share(self, fraction: Decimal) -> Decimal | None:
        """A limit in quote currency."""
        return None if self.equity is None else self.equity * fraction

    @property
    def drawdown(self) -> Decimal | None:
        """How far the equity is below its high-water mark, a fraction."""
        account = self.view.account
        return None if account is None or not account.drawdown.is_finite() else account.drawdown

    @cached_property
    def risk_share(self) -> Decimal:
        """How much of the usual risk a trade may take.

        Half once the drawdown has reached its first stage, half without a regime, a quarter against it by an operator's word.
        """
        share = Decimal(1)
        if self.drawdown is None or self.drawdown >= self.limits.drawdown_half_risk:
            share /= 2
        regime = self.view.regimes.get(self.intent.instrument)
        if self.limits.macro and (regime is None or regime.state == "NEUTRAL"):
            share /= 2
        return share if self.override is None else share * RISK_SHARE

    @property
    def is_against_regime(self) -> bool:
        """Long in a bear market, or short in a bull market."""
        said, against = self.view.regimes.get(self.intent.instrument), "BEAR" if self.intent.side == "BUY" else "BULL"
        return said is not None and said.state == against

    @property
    def override(self) -> MacroOverride | None:
        """The operator's word that this entry needs and has; None where the regime does not stand against it, too."""
        if not self.limits.macro or self.intent.reduce_only or not self.is_against_regime:
            return None
        return self.view.overrides.in_force(self.intent.instrument, self.intent.side, self.now)

    def correlation(self, a: str, b: str) -> float:
        """Of two instruments; what is not known well enough is assumed to be high."""
        limits = self.limits
        found = self.view.comovement.correlation(a, b, limits.correlation_bars_min)
        return float(limits.correlation_assumed) if found is None else found

    def weights(self) -> dict[str, Decimal] | None:
        """The worst value of every instrument at risk as a fraction of equity; None where something is missing."""
        values, equity = self.worst_values(), self.equity
        if equity is None or self.qty is None or any(value is None for value in values.values()):
            return None
        return {name: value / equity for name, value in values.items() if value is not None}

    def risk_of(self, instrument: str) -> Decimal | None:
        """What the worst position in `instrument` would lose at its stop, with fees; without a known stop all of it."""
        value, qty = self.worst_value(instrument), self.worst_qty(instrument)
        spec = self.view.specs.get(instrument)
        if value is None or spec is None:
            return None
        stops = [self.view.stops.get(instrument)]
        if instrument == self.intent.instrument and not self.intent.reduce_only:
            stops.append(self.stop_px)
        known = [stop for stop in stops if stop is not None]
        if not known or not qty:
            return value
        px, stop = value / qty, min(known)
        return qty * (max(px - stop, ZERO) + spec.taker_fee * (px + stop))

    def worst_qty(self, instrument: str) -> Decimal:
        """The largest position (unsigned) if everything approved, and this order, fills, and no exit does."""
        held = self.view.held_qty(instrument)
        buys = self.view.leaves_qty(instrument, "BUY", reduce_only=False)
        sells = self.view.leaves_qty(instrument, "SELL", reduce_only=False)
        if instrument == self.intent.instrument and not self.intent.reduce_only:
            qty = self.qty or ZERO
            buys, sells = (buys + qty, sells) if self.intent.side == "BUY" else (buys, sells + qty)
        return max(abs(held), abs(held + buys), abs(held - sells))

    def worst_value(self, instrument: str) -> Decimal | None:
        """`worst_qty` at the worst price known, of one of `worst_values`; None without a mark."""
        return self._worst_values[instrument]

    def worst_values(self) -> dict[str, Decimal | None]:
        """`worst_value` of every instrument that is, or would be, at risk."""
        return self._worst_values

    @cached_property
    def _worst_values(self) -> dict[str, Decimal | None]:
        instruments = dict.fromkeys([*self.view.instruments_at_risk(), self.intent.instrument])
        return {instrument: self._worst(instrument) for instrument in sorted(instruments)}

    def _worst(self, instrument: str) -> Decimal | None:
        mid = self.view.mid_px(instrument)
        if mid is None:
            return None
        prices = [mid, *self.view.entry_prices(instrument)]
        if instrument == self.intent.instrument and self.entry_px is not None:
            prices.append(self.entry_px)
        return self.worst_qty(instrument) * max(prices)

    def order_in_flight(self, valid_until: int) -> OrderInFlight:
        """The exposure this order adds once approved until `valid_until`."""
        px = self.entry_px
        assert px is not None, f"intent {self.intent.intent_id} was approved without a price"
        fee = self.spec.taker_fee if self.spec is not None else ZERO
        return OrderInFlight(
            instrument=self.intent.instrument,
            side=self.intent.side,
            reduce_only=self.intent.reduce_only,
            order_qty=self.intent.order_qty,
            order_px=px,
            cost_px=px * (1 + fee),
            valid_until=valid_until,
        )
