"""What the venue lists: the rules of each instrument, and how expensive and busy a generated market makes it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import InstrumentSpec

FEE = Decimal("0.001")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument's rules, the price its generated market hovers around, and its usual volume per minute (base)."""

    spec: InstrumentSpec
    base_px: float
    minute_qty: float

    @property
    def ticks_per_unit(self) -> int:
        """Prices of generated markets are whole numbers of ticks; this many make 1."""
        return int(1 / self.spec.px_tick)

    @property
    def lots_per_unit(self) -> int:
        """Quantities are whole numbers of lots (quantity steps); this many make 1."""
        return int(1 / self.spec.qty_step)


_KNOWN: dict[str, tuple[str, str, float, float]] = {  # px_tick, qty_step, base_px, minute_qty
    "BTC-USDT": ("0.01", "0.00001", 60_000.0, 12.0),
    "ETH-USDT": ("0.01", "0.0001", 3_000.0, 150.0),
    "SOL-USDT": ("0.01", "0.001", 150.0, 2_000.0),
    "XRP-USDT": ("0.0001", "0.1", 2.0, 150_000.0),
}
_UNKNOWN = ("0.01", "0.001", 100.0, 1_000.0)


def listing_of(instrument: str) -> Listing:
    """The listing of `instrument` ("BTC-USDT"); one the venue has no own rules for gets a plain set."""
    base, _, quote = instrument.partition("-")
    px_tick, qty_step, base_px, minute_qty = _KNOWN.get(instrument, _UNKNOWN)
    spec = InstrumentSpec(
        instrument=instrument,
        base=base,
        quote=quote,
        px_tick=Decimal(px_tick),
        qty_step=Decimal(qty_step),
        qty_min=Decimal(qty_step),
        notional_min=Decimal(5),
        taker_fee=FEE,
        maker_fee=FEE,
    )
    return Listing(spec=spec, base_px=base_px, minute_qty=minute_qty)
