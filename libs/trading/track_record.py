"""What may be said of a series of days and its trades: figures with intervals, what luck explains, and targets as targets.

A target is a wish about the truth. What was seen is a sample of it, so a target comes with the chance that the truth is above it, and never with a verdict:
a Sharpe ratio above 1.5 in one year is what the best of ten strategies without any skill shows. For the Sharpe ratio the chance is the probabilistic
Sharpe ratio against the target (per observation), for the win rate what Jeffreys' prior and the trades leave above it. Both take days and trades for
independent; the bootstrap intervals beside them do not.

Of fewer than `OBSERVATIONS_MIN` days, or trades, nothing is said: NaN, and "not known yet".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from libs.trading.beta import chance_rate_above
from libs.trading.bootstrap import SEED, Interval, bootstrapped_all
from libs.trading.daily_equity import DAY_NS, DailyEquity
from libs.trading.performance import HEADLINE, YEAR, deflated, headline, min_track_record, moments, psr
from libs.trading.round_trips import RoundTrip, RoundTrips
from libs.trading.trade_stats import NOT_KNOWN, Activity, TradeStatistics, activity, grouped, trade_statistics

OBSERVATIONS_MIN = 30
SHARPE_TARGET = 1.5
WIN_RATE_TARGET = 0.55
UNKNOWN = "not known yet"


class Trials(msgspec.Struct, frozen=True):
    """How many distinct things were tried before this was chosen, and the variance of their Sharpe ratios per observation."""

    count: int = 1
    variance: float = 0.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A wish about the truth, what was seen of it, and the chance that the truth is above it; NaN: not known yet."""

    name: str
    target: float
    observed: float
    low: float
    high: float
    chance_above: float
    observations: int


class TrackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a series. `drawdown` <= 0, `underwater_days` the longest time below a high.

    `psr` is the chance that the true Sharpe ratio is above zero, `deflated` that it is above what the best of so many trials without skill would
    have shown, `days_needed` how many days it takes until `psr` is 95 % (infinite: the ratio is not above zero).
    """

    days: int
    days_carried: int
    sharpe: Interval
    sortino: Interval
    calmar: Interval
    cagr: Interval
    volatility: Interval
    drawdown: Interval
    underwater_days: Interval
    psr: float
    deflated: float
    trials: Trials
    days_needed: float
    trades: TradeStatistics
    trades_open: int
    activity: Activity
    targets: tuple[Target, ...]


def track_record(
    returns: Sequence[float],
    trips: RoundTrips,
    *,
    trials: Trials,
    active: Activity = Activity(NOT_KNOWN, NOT_KNOWN),  # noqa: B008  frozen
    days_carried: int = 0,
    seed: int = SEED,
) -> TrackRecord:
    """The record of daily returns and round trips, after so many trials."""
    is_known = len(returns) >= OBSERVATIONS_MIN
    figures = bootstrapped_all(returns if is_known else (), headline, width=len(HEADLINE), seed=seed)
    ratio, downside, calmed, growth, swing, fall, under = figures
    found = moments(returns if is_known else ())
    trades = trade_statistics(trips.closed, seed=seed)
    return TrackRecord(
        days=len(returns),
        days_carried=days_carried,
        sharpe=ratio,
        sortino=downside,
        calmar=calmed,
        cagr=growth,
        volatility=swing,
        drawdown=fall,
        underwater_days=under,
        psr=psr(found),
        deflated=deflated(found, trials.count, trials.variance),
        trials=trials,
        days_needed=min_track_record(found),
        trades=trades,
        trades_open=len(trips.open),
        activity=active,
        targets=(_sharpe_target(returns, ratio), *_win_rate_targets(trades)),
    )


def book_record(equity: DailyEquity, trips: RoundTrips, *, trials: Trials, seed: int = SEED) -> TrackRecord:
    """The record of a book, from its daily equity and its round trips."""
    return _record(equity.returns, equity, trips, trials, seed)


def records_by(
    label: str, equity: DailyEquity, trips: RoundTrips, *, trials: Trials, seed: int = SEED
) -> dict[str, TrackRecord]:
    """The record of each group of `trade_stats.LABELS`, as if the group alone had traded with the whole book's money."""
    closed, still = grouped(trips.closed, label), grouped(trips.open, label)
    found = {}
    for name in sorted({*closed, *still}):
        mine = RoundTrips(tuple(closed.get(name, ())), tuple(still.get(name, ())))
        found[name] = _record(contributions(mine.closed, equity), equity, mine, trials, seed)
    return found


def contributions(trips: Sequence[RoundTrip], equity: DailyEquity) -> list[float]:
    """What these round trips added to each day's return: their net results on the day they ended, over the equity the day began with.

    What is won and lost on paper before a round trip ends is not in it, nor what ended outside the days.
    """
    values = equity.equities
    found = [0.0] * len(equity.days)
    for trip in trips:
        day = -(-(trip.exit_ts - equity.start_ts) // DAY_NS) - 1
        if 0 <= day < len(found) and values[day] > 0:
            found[day] += float(trip.pnl / values[day])
    return found


def lines(record: TrackRecord) -> list[str]:
    """The record in words, one figure a line; no line says whether it is good enough."""
    trades = record.trades
    found = [
        f"{record.days} days ({record.days_carried} of them seen by nobody), {trades.count} round trips, {record.trades_open} open",
        _line("Sharpe ratio a year", record.sharpe),
        _line("Sortino ratio a year", record.sortino),
        _line("Calmar ratio", record.calmar),
        _line("growth a year", record.cagr, "%"),
        _line("volatility a year", record.volatility, "%"),
        _line("deepest drawdown", record.drawdown, "%"),
        _line("days below a high", record.underwater_days, "days"),
        _line("win rate", trades.win_rate, "%"),
        _line("profit factor", trades.profit_factor),
        _line("expectancy", trades.expectancy, "quote"),
        _line("expectancy in R", trades.expectancy_r),
        _line("time in the market", record.activity.exposure, "%"),
        _line("turnover a year", record.activity.turnover),
        _line("cost share", trades.cost_share, "%"),
        f"chance that the true Sharpe ratio is above zero: {_share(record.psr)}",
        f"chance that it is above the best of {record.trials.count} trials without skill: {_share(record.deflated)}",
        f"days until the first chance is 95 %: {_days(record.days_needed)}",
    ]
    return found + [_target_line(each) for each in record.targets]


def _record(returns: Sequence[float], equity: DailyEquity, trips: RoundTrips, trials: Trials, seed: int) -> TrackRecord:
    values = [float(each) for each in equity.equities]
    active = activity(
        [*trips.closed, *trips.open],
        start_ts=equity.start_ts,
        end_ts=equity.start_ts + len(equity.days) * DAY_NS,
        mean_equity=math.fsum(values) / len(values),
        seed=seed,
    )
    return track_record(returns, trips, trials=trials, active=active, days_carried=equity.carried, seed=seed)


def _sharpe_target(returns: Sequence[float], ratio: Interval) -> Target:
    is_known = len(returns) >= OBSERVATIONS_MIN
    chance = psr(moments(returns), SHARPE_TARGET / math.sqrt(YEAR)) if is_known else math.nan
    return Target(
        name="Sharpe ratio a year",
        target=SHARPE_TARGET,
        observed=ratio.value,
        low=ratio.low,
        high=ratio.high,
        chance_above=chance,
        observations=len(returns),
    )


def _win_rate_targets(trades: TradeStatistics) -> list[Target]:
    """The wished rate, and where exits were planned, the one a fair coin would have had with them."""
    found = [_win_rate_target("win rate", WIN_RATE_TARGET, trades)]
    if not math.isnan(trades.break_even_rate):
        found.append(_win_rate_target("win rate of a fair coin with these exits", trades.break_even_rate, trades))
    return found


def _win_rate_target(name: str, rate: float, trades: TradeStatistics) -> Target:
    is_known = trades.count >= OBSERVATIONS_MIN
    seen = trades.win_rate if is_known else NOT_KNOWN
    return Target(
        name=name,
        target=rate,
        observed=seen.value,
        low=seen.low,
        high=seen.high,
        chance_above=chance_rate_above(trades.wins, trades.count, rate) if is_known else math.nan,
        observations=trades.count,
    )


def _target_line(each: Target) -> str:
    words = f"target: {each.name} above {each.target:.4g}"
    if math.isnan(each.chance_above):
        return f"{words}: {UNKNOWN} ({each.observations} observations)"
    return (
        f"{words}: observed {each.observed:.4g} [{each.low:.4g}, {each.high:.4g}] in {each.observations} observations; "
        f"chance that the truth is above it: {_share(each.chance_above)}"
    )


def _line(name: str, figure: Interval, unit: str = "") -> str:
    if math.isnan(figure.value):
        return f"{name}: {UNKNOWN}"
    scale, tail = (100.0, " %") if unit == "%" else (1.0, f" {unit}" if unit else "")
    low, high = (UNKNOWN if math.isnan(each) else f"{each * scale:.4g}" for each in (figure.low, figure.high))
    return f"{name}: {figure.value * scale:.4g}{tail} [{low}, {high}]"


def _share(chance: float) -> str:
    return UNKNOWN if math.isnan(chance) else f"{chance * 100:.1f} %"


def _days(needed: float) -> str:
    if math.isnan(needed):
        return UNKNOWN
    return "never, at this ratio" if math.isinf(needed) else f"{math.ceil(needed)}"
