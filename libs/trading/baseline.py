"""What a book shows of its trading, sample by sample, and what is kept of that as a baseline. Pure.

    slippage        of an order with role ENTRY or EXIT: its average price against the `ref_px` that its intent was approved with   bp, > 0: worse
    stop_slippage   of an order with role STOP: its average price against its own trigger                                        bp, > 0: worse
    latency         from an approval to the first report that the venue has the order (NEW, or a fill)                         ms
    return          of a round trip, net of commissions, over the most capital it held at cost                             bp
    hit_rate        1 for a round trip that earned more than nothing, net; 0 for one that did not

**One sample an order, not a fill**: the fills of one order share its luck, and a test that takes ten of them for ten witnesses cries wolf. An order is
measured when it ends with anything filled. Targets are no metric: a limit order fills at its own price.

**One clock.** Latency is the difference of two `ts_init`: what the log called now when the gate approved, and when the executor heard of the venue. Both
are readings of our own clock port (a derived event copies the `now` of its input), so no venue's clock is in it; queues of gate and executor are. In a
stack that runs at many times wall time it is in that stack's time.

Round trips follow from `PositionChanged`: from flat to flat, where less than the instrument's quantity step counts as flat. A position that is turned
through zero is one round trip (a spot book never does that). One that was open when measuring began is in no sample. What is remembered is bounded: `AWAITED_MAX` approvals and
triggers, the oldest of which are forgotten, and one round trip an instrument.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import TypeVar

import msgspec

from libs.common.messages import (
    Baseline,
    ExecutionReport,
    FeedStatus,
    Message,
    Metric,
    MetricBaseline,
    OrderApproved,
    OrderSubmitting,
    PositionChanged,
    Side,
)
from libs.common.money import ZERO
from libs.trading.positions import EXACT, QUOTIENT, Position
from libs.trading.quantiles import quantile

METRICS: tuple[Metric, ...] = ("slippage", "stop_slippage", "latency", "return", "hit_rate")
SHARES = tuple(step / 20 for step in range(21))
"""Which quantiles a baseline keeps."""
SAMPLES_MAX = 5_000
"""So many newest samples of a metric make its baseline."""
AWAITED_MAX = 500
LAGS_MAX = 20
"""So many samples apart, two are no longer neighbours."""
BP = 10_000
MS_NS = 1_000_000
_CLOSED = ("FILLED", "CANCELED", "EXPIRED", "REJECTED")

T = TypeVar("T")


class Sample(msgspec.Struct, frozen=True):
    """One value of one metric, in the metric's unit, rounded to a hundredth."""

    metric: Metric
    value: float


class Awaited(msgspec.Struct):
    """An approved order without an end: what it was sized on, when it was approved (ns), whether the venue is known to have it."""

    side: Side
    ref_px: float
    ts: int
    acknowledged: bool = False


class OpenTrip(msgspec.Struct):
    """A round trip under way: the totals before it, the most capital it held at cost; `whole`: we saw it begin."""

    realized_pnl: Decimal
    commission: Decimal
    capital: Decimal = ZERO
    whole: bool = True


class Totals(msgspec.Struct, frozen=True):
    """What an instrument had earned, and paid in commissions, when it was flat last."""

    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO


class Measuring(msgspec.Struct):
    """What is remembered between two events."""

    awaited: dict[str, Awaited] = {}
    triggers: dict[str, float] = {}
    totals: dict[str, Totals] = {}
    trips: dict[str, OpenTrip] = {}
    steps: dict[str, Decimal] = {}


def begun(positions: Mapping[str, Position], steps: Mapping[str, Decimal]) -> Measuring:
    """Measuring that begins now, with these positions; the round trips that are under way will be no samples."""
    found = Measuring(steps=dict(steps))
    for instrument, position in positions.items():
        begin(found, instrument, position)
    return found


def begin(state: Measuring, instrument: str, position: Position) -> None:
    """Measure this instrument from this position on; a round trip that is under way will be no sample."""
    state.totals[instrument] = Totals(position.realized_pnl, position.commission)
    state.trips.pop(instrument, None)
    if not _is_flat(state, instrument, position.signed_qty):
        state.trips[instrument] = OpenTrip(position.realized_pnl, position.commission, whole=False)


def samples_of(state: Measuring, message: Message) -> list[Sample]:
    """What this event shows; `state` learns of it. An event whose figures make no sense shows nothing."""
    match message:
        case OrderApproved():
            ref_px = float(message.ref_px)
            if _is_px(ref_px):
                _keep(state.awaited, message.intent_id, Awaited(message.side, ref_px, message.ts_init))
        case OrderSubmitting(role="STOP", stop_px=stop_px) if stop_px is not None and _is_px(float(stop_px)):
            _keep(state.triggers, message.cl_ord_id, float(stop_px))
        case ExecutionReport():
            return _stop(state, message) if message.role == "STOP" else _order(state, message)
        case PositionChanged():
            return _position(state, message)
        case FeedStatus():
            state.steps.update((spec.instrument, spec.qty_step) for spec in message.specs)
    return []


class BaselineFold:
    """The baseline of a log, event by event."""

    def __init__(self) -> None:
        self.state = Measuring()
        self._kept: dict[Metric, deque[float]] = {metric: deque(maxlen=SAMPLES_MAX) for metric in METRICS}
        self._from_ts = self._until_ts = 0

    def take(self, message: Message, *, counts: bool = True) -> None:
        """Learn an event; what it shows is kept only where it `counts`."""
        found = samples_of(self.state, message)
        if not counts or not found:
            return
        self._from_ts, self._until_ts = self._from_ts or message.ts_init, message.ts_init
        for each in found:
            self._kept[each.metric].append(each.value)

    def baseline(self, source: str) -> Baseline:
        """What was kept; metrics without a sample are left out."""
        metrics = tuple(distribution(metric, kept) for metric, kept in self._kept.items() if kept)
        return Baseline(source=source[:200], from_ts=self._from_ts, until_ts=self._until_ts, metrics=metrics)


def distribution(metric: Metric, values: Sequence[float]) -> MetricBaseline:
    """These samples (at least one, in the order of time) as count, mean, quantiles and how much they hang together."""
    ordered = sorted(values)
    grid = tuple(round(quantile(ordered, share), 4) for share in SHARES)
    ranks = values if metric == "hit_rate" else [standing(grid, each) for each in values]
    return MetricBaseline(
        metric=metric,
        count=len(ordered),
        mean=math.fsum(ordered) / len(ordered),
        clumping=round(clumping(ranks), 4),
        quantiles=() if metric == "hit_rate" else grid,
    )


def clumping(values: Sequence[float]) -> float:
    """By how much neighbours that are alike make the mean of these values less certain: its variance over that of independent ones, at least 1.

    1 + 2 * sum over lags k = 1..L of (1 - k / (L + 1)) * autocorrelation(k), with L a tenth of the values and at most `LAGS_MAX` (Newey and West 1987).
    """
    count = len(values)
    mean = math.fsum(values) / count
    off = [each - mean for each in values]
    spread = math.fsum(each * each for each in off)
    lags = min(LAGS_MAX, count // 10)
    if spread <= 0 or lags < 1:
        return 1.0
    found = 1.0
    for lag in range(1, lags + 1):
        alike = math.fsum(one * other for one, other in zip(off, off[lag:], strict=False)) / spread
        found += 2 * (1 - lag / (lags + 1)) * alike
    return max(1.0, found)


def standing(grid: Sequence[float], value: float) -> float:
    """The share of the baseline below `value`, read from its quantiles: 0 to 1, linear between two of them.

    Where several quantiles are `value` it stands in their middle, so that equal values have no rank before each other.
    """
    first, after = bisect_left(grid, value), bisect_right(grid, value)
    last = len(grid) - 1
    if first < after:
        return (first + after - 1) / 2 / last
    if first == 0 or first > last:
        return float(first > last)
    low, high = grid[first - 1], grid[first]
    return (first - 1 + (value - low) / (high - low)) / last


def _order(state: Measuring, report: ExecutionReport) -> list[Sample]:
    order = state.awaited.get(report.intent_id)
    if order is None or report.role not in ("ENTRY", "EXIT") or report.side != order.side:
        return []
    found = []
    if not order.acknowledged and report.exec_type in ("NEW", "TRADE"):
        order.acknowledged = True
        found.append(Sample("latency", round(max(0, report.ts_init - order.ts) / MS_NS, 2)))
    if report.ord_status in _CLOSED:
        del state.awaited[report.intent_id]
        found += _slipped("slippage", report, order.ref_px)
    return found


def _stop(state: Measuring, report: ExecutionReport) -> list[Sample]:
    trigger = state.triggers.get(report.cl_ord_id)
    if trigger is None or report.ord_status not in _CLOSED:
        return []
    del state.triggers[report.cl_ord_id]
    return _slipped("stop_slippage", report, trigger)


def _slipped(metric: Metric, report: ExecutionReport, ref_px: float) -> list[Sample]:
    """How much worse than `ref_px` an order that has ended was filled; nothing if nothing was filled."""
    avg_px = float(report.avg_px or 0)
    if not report.cum_qty or not _is_px(avg_px):
        return []
    sign = 1 if report.side == "BUY" else -1
    return [Sample(metric, round(sign * (avg_px / ref_px - 1) * BP, 2))]


def _position(state: Measuring, message: PositionChanged) -> list[Sample]:
    name, now = message.instrument, Totals(message.realized_pnl, message.commission)
    is_flat = _is_flat(state, name, message.signed_qty)
    trip = state.trips.get(name)
    if trip is None and is_flat:  # dust that moved: no round trip has begun
        state.totals[name] = now
        return []
    if trip is None:
        before = state.totals.get(name, Totals())
        trip = state.trips[name] = OpenTrip(before.realized_pnl, before.commission)
    with localcontext(EXACT):
        trip.capital = max(trip.capital, abs(message.signed_qty * message.avg_entry_px))
    if not is_flat:
        return []
    del state.trips[name]
    state.totals[name] = now
    if not trip.whole or trip.capital <= 0:
        return []
    with localcontext(QUOTIENT):
        net = now.realized_pnl - trip.realized_pnl - (now.commission - trip.commission)
        earned = float(net / trip.capital * BP)
    return [Sample("return", round(earned, 2)), Sample("hit_rate", float(net > 0))]


def _is_flat(state: Measuring, instrument: str, signed_qty: Decimal) -> bool:
    return signed_qty.is_zero() or signed_qty.copy_abs() < state.steps.get(instrument, ZERO)


def _is_px(px: float) -> bool:
    return math.isfinite(px) and px > 0


def _keep(kept: dict[str, T], name: str, value: T) -> None:
    kept[name] = value
    if len(kept) > AWAITED_MAX:
        del kept[next(iter(kept))]
