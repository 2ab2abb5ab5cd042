"""What round trips say: how often, how much, at what cost; each figure with its interval. Pure.

    win rate        wins / all round trips: one that earned exactly nothing is in the denominator        Wilson (1927)
    profit factor   what winners earned / what losers lost, net of costs                                 bootstrap
    expectancy      mean net result, in quote currency; in R, over trades whose risk was planned         bootstrap
    payoff          mean winner / mean loser                                                             bootstrap
    cost share      all costs / what winners before costs earned before costs                            bootstrap
    break-even      mean planned risk / (risk + reward): the win rate a fair coin has with these exits
    exposure        share of the time in which at least one position was open                            bootstrap, of days
    turnover        traded notional / mean equity, per year of 365 days                                  bootstrap, of days

What is not known is NaN and never infinite: without a loser there is no profit factor and no payoff, whatever was won. R is the result over the
planned risk. The bootstrap takes trades in the order they ended, in blocks, because good and bad ones come in runs. Extremes (`best`, `worst`,
the longest runs) are what happened and have no interval: the resampled worst is never worse than the worst.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from itertools import groupby
from statistics import fmean, median

import msgspec

from libs.common.money import ZERO
from libs.trading.bootstrap import SEED, Interval, bootstrapped, bootstrapped_all
from libs.trading.calibration import wilson
from libs.trading.daily_equity import DAY_NS
from libs.trading.performance import YEAR
from libs.trading.positions import EXACT
from libs.trading.round_trips import RoundTrip

SECOND_NS = 1_000_000_000
NOT_KNOWN = Interval(math.nan, math.nan, math.nan)


class TradeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What closed round trips say; money in quote currency, holding times in seconds. `planned` trades had stop and target."""

    count: int
    wins: int
    losses: int
    zeros: int
    net_pnl: Decimal
    commission: Decimal
    win_rate: Interval
    profit_factor: Interval
    expectancy: Interval
    expectancy_r: Interval
    payoff: Interval
    cost_share: Interval
    holding_mean_s: Interval
    holding_median_s: Interval
    break_even_rate: float
    planned: int
    best: Decimal | None
    worst: Decimal | None
    wins_in_a_row: int
    losses_in_a_row: int


class Activity(msgspec.Struct, frozen=True):
    """How much of the time something was open, and how often the book was turned over in a year."""

    exposure: Interval
    turnover: Interval


LABELS: Mapping[str, Callable[[RoundTrip], tuple[str, ...]]] = {
    "agent": lambda trip: trip.agents or ("",),
    "instrument": lambda trip: (trip.instrument,),
    "regime": lambda trip: (trip.regime,),
    "hour": lambda trip: (f"{datetime.fromtimestamp(trip.entry_ts // SECOND_NS, UTC).hour:02d}",),
    "reason": lambda trip: (trip.reason,),
}
"""What round trips are grouped by; the hour is that of the entry, UTC. A trade that several agents led is in each one's group."""


def trade_statistics(trips: Sequence[RoundTrip], *, seed: int = SEED) -> TradeStatistics:
    """The figures of these closed round trips, in the order they ended.

    Raises:
        ValueError: one is still open: it has neither won nor lost.
    """
    if any(trip.is_open for trip in trips):
        raise ValueError("a round trip that is still open has neither won nor lost")
    results = [trip.pnl for trip in trips]
    wins, losses = sum(each > 0 for each in results), sum(each < 0 for each in results)
    risky = [float(trip.pnl / trip.risk) for trip in trips if trip.risk]
    planned = [float(trip.risk / (trip.risk + trip.reward)) for trip in trips if trip.risk is not None and trip.reward]
    rows = [(float(trip.pnl), float(trip.commission), trip.holding_ns / SECOND_NS) for trip in trips]
    factor, expected, payoff, cost, held, middle = bootstrapped_all(rows, _figures, width=6, seed=seed)
    return TradeStatistics(
        count=len(trips),
        wins=wins,
        losses=losses,
        zeros=len(trips) - wins - losses,
        net_pnl=_total(results),
        commission=_total([trip.commission for trip in trips]),
        win_rate=Interval(wins / len(trips), *wilson(wins, len(trips))) if trips else NOT_KNOWN,
        profit_factor=factor,
        expectancy=expected,
        expectancy_r=bootstrapped(risky, fmean, seed=seed),
        payoff=payoff,
        cost_share=cost,
        holding_mean_s=held,
        holding_median_s=middle,
        break_even_rate=fmean(planned) if planned else math.nan,
        planned=len(planned),
        best=max(results, default=None),
        worst=min(results, default=None),
        wins_in_a_row=_longest(each > 0 for each in results),
        losses_in_a_row=_longest(each < 0 for each in results),
    )


def grouped(trips: Sequence[RoundTrip], label: str) -> dict[str, list[RoundTrip]]:
    """Round trips by one of `LABELS`, the groups in order of their names."""
    found: dict[str, list[RoundTrip]] = {}
    for trip in trips:
        for name in LABELS[label](trip):
            found.setdefault(name, []).append(trip)
    return dict(sorted(found.items()))


def activity(
    trips: Sequence[RoundTrip], *, start_ts: int, end_ts: int, mean_equity: float, seed: int = SEED
) -> Activity:
    """Exposure and turnover between two instants (ns UTC), by days counted from the first; a rest of a day counts as its share.

    Open round trips belong here, too; an open one is held until `end_ts`. Notional is traded when a round trip began and when it ended.
    """
    if end_ts <= start_ts or not mean_equity > 0:
        return Activity(NOT_KNOWN, NOT_KNOWN)
    count = -(-(end_ts - start_ts) // DAY_NS)
    held, traded = [0] * count, [0.0] * count
    for lo, hi in _joined([(trip.entry_ts, end_ts if trip.is_open else trip.exit_ts) for trip in trips]):
        begin, end = max(lo, start_ts) - start_ts, min(hi, end_ts) - start_ts
        for day in range(begin // DAY_NS, -(-end // DAY_NS)):
            held[day] += max(0, min(end, (day + 1) * DAY_NS) - max(begin, day * DAY_NS))
    for trip in trips:
        for ts, notional in ((trip.entry_ts, trip.entry_notional), (trip.exit_ts, trip.exit_notional)):
            if start_ts <= ts < end_ts or ts == end_ts:
                traded[min(count - 1, (ts - start_ts) // DAY_NS)] += float(notional)
    length = (end_ts - start_ts) / count
    return Activity(
        bootstrapped([each / length for each in held], fmean, seed=seed),
        bootstrapped([each / mean_equity * YEAR * DAY_NS / length for each in traded], fmean, seed=seed),
    )


def _total(amounts: Sequence[Decimal]) -> Decimal:
    with localcontext(EXACT):
        return sum(amounts, ZERO)


def _figures(rows: Sequence[tuple[float, float, float]]) -> tuple[float, ...]:
    """Profit factor, expectancy, payoff, cost share, mean and median holding time of one sample."""
    results, costs, held = zip(*rows, strict=True)
    won = [each for each in results if each > 0]
    lost = [each for each in results if each < 0]
    gross = sum(result + cost for result, cost, _ in rows if result + cost > 0)
    gain, loss = sum(won), -sum(lost)
    return (
        gain / loss if loss else math.nan,
        sum(results) / len(rows),
        (gain / len(won)) / (loss / len(lost)) if won and loss else math.nan,
        sum(costs) / gross if gross > 0 else math.nan,
        sum(held) / len(rows),
        median(held),
    )


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of time without overlaps."""
    found: list[tuple[int, int]] = []
    for lo, hi in sorted(spans):
        if found and lo <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], hi))
        else:
            found.append((lo, hi))
    return found


def _longest(flags: Iterable[bool]) -> int:
    """The longest run of True."""
    return max((sum(1 for _ in run) for flag, run in groupby(flags) if flag), default=0)
