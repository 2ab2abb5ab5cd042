"""The limits of one book: everything a person may set that can change a verdict.

Fractions are of equity unless said otherwise, values are in quote currency. Making any of these tighter never turns a denial into
an approval (a property test holds it to that).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from services.risk_gate.blackouts import Blackout


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate holds an intent against; equality with a limit is allowed, except where a line says otherwise.

    `collar_aggressive` and `collar_passive` are fractions of the mark: how far a price may lie on the side that pays more, and on
    the side that waits. `order_value_max` caps a single order whatever the equity is. `stop_distance_*` are fractions of the
    entry price. `duplicate_window_ms` must have passed since the same instrument, side and reason were approved.
    `intent_memory_hours` is how long an intent id is remembered. `venue` is where orders go: only its trading rules count, and no
    position is opened at the prices of another one (empty: any venue's). Entries are denied once drawdown *reaches* `drawdown_entry_max`;
    the gate halts once it reaches `drawdown_halt`, and then has everything sold if `drawdown_flatten`; from `drawdown_half_risk` on a trade
    may risk half of `loss_fraction_max`. `daily_loss_max` is of the equity at 00:00 UTC, reaching it is too much. The last comparison with
    the venue may be `reconciled_age_ms_max` old. `macro` lets the weekly regime judge too: no entry against it, none while it is
    UNKNOWN, and half the risk while it is NEUTRAL. `levels` lets support and resistance judge: no entry inside a zone, or just under one. Nothing is entered within one of the
    `blackouts`. `bars` lets closed bars of `bar_timeframe` judge: a stop is `stop_atr_min` to `stop_atr_max` ATR away, an order at most
    `day_volume_share_max` of what is traded in a day, and a market order expected to pay at most `slippage_max` (a fraction of the mark) more than
    the mark. `signals` lets the opinion behind an entry judge: it is at most `signal_age_share_max` of its own bar's length old.
    """

    instruments: tuple[str, ...]
    venue: str = "binance"
    price_age_ms_max: int = 2_000
    reconciled_age_ms_max: int = 180_000
    collar_aggressive: Decimal = Decimal("0.02")
    collar_passive: Decimal = Decimal("0.20")
    order_value_max: Decimal = Decimal(50_000)
    order_value_fraction_max: Decimal = Decimal("0.50")
    position_fraction_max: Decimal = Decimal("0.20")
    total_risk_fraction_max: Decimal = Decimal("0.04")
    cluster_fraction_max: Decimal = Decimal("0.35")
    cluster_correlation_min: Decimal = Decimal("0.70")
    correlated_fraction_max: Decimal = Decimal("0.45")
    correlation_timeframe: str = "1h"
    correlation_bars_min: int = 60
    correlation_assumed: Decimal = Decimal("0.80")
    spread_bps_max: Decimal = Decimal(10)
    spread_multiple_max: Decimal = Decimal(3)
    gross_exposure_fraction_max: Decimal = Decimal("1.00")
    positions_max: int = 6
    stop_distance_min: Decimal = Decimal("0.0005")
    stop_distance_max: Decimal = Decimal("0.20")
    loss_fraction_max: Decimal = Decimal("0.01")
    duplicate_window_ms: int = 5_000
    orders_per_second_max: int = 5
    orders_per_minute_max: int = 60
    drawdown_entry_max: Decimal = Decimal("0.10")
    drawdown_half_risk: Decimal = Decimal("0.05")
    drawdown_halt: Decimal = Decimal("0.15")
    drawdown_flatten: bool = True
    daily_loss_max: Decimal = Decimal("0.03")
    cooldown_ms: int = 3_600_000
    losses_in_a_row_max: int = 5
    losses_pause_ms: int = 86_400_000
    approval_ttl_ms: int = 10_000
    intent_memory_hours: int = 48
    macro: bool = False
    levels: bool = False
    blackouts: tuple[Blackout, ...] = ()
    bars: bool = False
    bar_timeframe: str = "15m"
    stop_atr_min: Decimal = Decimal("0.5")
    stop_atr_max: Decimal = Decimal(5)
    day_volume_share_max: Decimal = Decimal("0.001")
    slippage_max: Decimal = Decimal("0.005")
    signals: bool = False
    signal_age_share_max: Decimal = Decimal("0.25")
