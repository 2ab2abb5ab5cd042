"""What came of it: what happened, what may be said of it and how surely, and wishes as wishes."""

from __future__ import annotations

from libs.research.report import words
from libs.research.report.charts import Section
from libs.research.report.markup import pairs, paragraph, table
from libs.research.result import BacktestResult
from libs.trading.bootstrap import CONFIDENCE, Interval
from libs.trading.track_record import OBSERVATIONS_MIN, Target, TrackRecord


def section(result: BacktestResult) -> Section:
    """Three tables: facts, figures, targets."""
    return Section(
        "figures",
        "What came of it",
        (
            pairs(_facts(result)),
            table("Figures", ("figure", "value", "low", "high"), _figures(result)),
            paragraph(
                f"Low and high hold the true figure with {CONFIDENCE:.0%} confidence, if the future is like these days and trades: by Wilson for the "
                f"win rate, by the bootstrap for all others. Of fewer than {OBSERVATIONS_MIN} days nothing is said of them.",
                "soft",
            ),
            pairs(_luck(result.record)),
            table(
                "Targets, and the chance that the truth is above them",
                ("target", "wished", "seen", "low", "high", "observations", "chance"),
                [_target(each) for each in result.record.targets],
            ),
            paragraph(
                "A target is a wish about the truth. What was seen is one sample of it, so no line says that a target is reached or missed.",
                "soft",
            ),
        ),
    )


def _facts(result: BacktestResult) -> list[tuple[str, str]]:
    record, trades, quote = result.record, result.record.trades, result.quote
    gain = result.equity_final - result.cash
    return [
        ("equity at the end", f"{words.money(result.equity_final)} {quote}"),
        (
            "result",
            f"{words.signed_money(gain)} {quote} ({words.signed_percent(float(gain / result.cash) if result.cash else float('nan'))})",
        ),
        ("deepest drawdown, at any mark", words.percent(float(result.drawdown_max))),
        (
            "full days",
            f"{record.days:,}" + (f", {record.days_carried:,} of them seen by nobody" if record.days_carried else ""),
        ),
        ("round trips", f"{trades.count:,} closed, {record.trades_open:,} open"),
        ("won, lost, neither", f"{trades.wins:,}, {trades.losses:,}, {trades.zeros:,}"),
        (
            "net result of closed trips",
            f"{words.signed_money(trades.net_pnl)} {quote}" if trades.count else "none closed",
        ),
        ("commission of closed trips", f"{words.money(trades.commission)} {quote}"),
        ("best, worst trip", _extremes(record)),
        ("longest runs", f"{trades.wins_in_a_row:,} won, {trades.losses_in_a_row:,} lost"),
    ]


def _extremes(record: TrackRecord) -> str:
    best, worst = record.trades.best, record.trades.worst
    return (
        "none closed" if best is None or worst is None else f"{words.signed_money(best)}, {words.signed_money(worst)}"
    )


def _figures(result: BacktestResult) -> list[tuple[str, ...]]:
    record, trades, quote = result.record, result.record.trades, result.quote
    rows = [
        ("Sharpe ratio a year", record.sharpe, ""),
        ("Sortino ratio a year", record.sortino, ""),
        ("Calmar ratio", record.calmar, ""),
        ("growth a year", record.cagr, "%"),
        ("volatility a year", record.volatility, "%"),
        ("deepest drawdown, by days", record.drawdown, "%"),
        ("longest time below a high", record.underwater_days, "days"),
        ("win rate", trades.win_rate, "%"),
        ("profit factor", trades.profit_factor, ""),
        ("payoff: mean winner / mean loser", trades.payoff, ""),
        ("expectancy of a trip", trades.expectancy, quote),
        ("expectancy in R (planned risk)", trades.expectancy_r, "R"),
        ("costs / what winners earned before costs", trades.cost_share, "%"),
        ("holding time, mean", trades.holding_mean_s, "h"),
        ("time in the market", record.activity.exposure, "%"),
        ("turnover a year, in equities", record.activity.turnover, ""),
    ]
    return [(name, *interval(found, unit)) for name, found, unit in rows]


def interval(found: Interval, unit: str = "") -> tuple[str, str, str]:
    """Value, low and high in words; `%` is of a share, `h` of seconds."""
    scale = {"%": 100.0, "h": 1 / 3_600}.get(unit, 1.0)
    value, low, high = (words.number(each, scale) for each in (found.value, found.low, found.high))
    return f"{value} {unit}" if unit and words.is_known(found.value) else value, low, high


def _luck(record: TrackRecord) -> list[tuple[str, str]]:
    trials = record.trials.count
    return [
        ("chance that the true Sharpe ratio is above zero", words.chance(record.psr)),
        (
            f"chance that it is above the best of {words.plural(trials, 'trial')} without skill",
            words.chance(record.deflated),
        ),
        ("days until the first of these is 95 %", words.days(record.days_needed)),
    ]


def _target(each: Target) -> tuple[str, ...]:
    scale, unit = (1.0, "") if each.name.startswith("Sharpe") else (100.0, " %")
    value, low, high = (words.number(found, scale) for found in (each.observed, each.low, each.high))
    wished = f"above {words.number(each.target, scale)}{unit}"
    seen = f"{value}{unit}" if words.is_known(each.observed) else value
    return each.name, wished, seen, low, high, f"{each.observations:,}", words.chance(each.chance_above)
