"""What came of a backtest: everything a report shows, a script reads and a verdict rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages import LevelMap
from libs.research.scribe import Entry, PriceBar, Scribe
from libs.trading.daily_equity import DailyEquity, daily_equity
from libs.trading.fill_model import FillModel
from libs.trading.round_trips import RoundTrips, round_trips
from libs.trading.track_record import TrackRecord, Trials, book_record

SCHEMA = 1


class SeriesUsed(msgspec.Struct, frozen=True, kw_only=True):
    """One series that was played: its name, its length and what it held (`digest` of its bars)."""

    instrument: str
    timeframe: str
    bars: int
    first_ts_open: int
    end_ts: int
    digest: str
    repairs: tuple[str, ...] = ()


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """The same backtest under other costs or later orders: how much of the result is left."""

    name: str
    equity_final: Decimal
    trades: int
    sharpe: float


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """One backtest. Money is in quote currency, times are ns UTC.

    `digest` covers all that was decided, `settings_digest` the machines' settings. `curve` and `prices` are thinned out for looking at;
    `daily` and `trips` are complete, `entries` the last ones.
    """

    digest: str
    settings_digest: str
    code_version: str
    series: tuple[SeriesUsed, ...]
    model: FillModel
    quote: str
    cash: Decimal
    equity_final: Decimal
    drawdown_max: Decimal
    daily: DailyEquity
    trips: RoundTrips
    record: TrackRecord
    curve: list[tuple[int, float]]
    prices: dict[str, list[PriceBar]]
    levels: dict[str, LevelMap]
    entries: list[Entry]
    counts: dict[str, int]
    denials: dict[str, int]
    alerts: dict[str, int]
    variants: tuple[Variant, ...] = ()


def result_of(
    scribe: Scribe,
    *,
    series: tuple[SeriesUsed, ...],
    settings: Mapping[str, Any],
    code_version: str,
    model: FillModel,
    quote: str,
    cash: Decimal,
    qty_steps: Mapping[str, Decimal],
    trials: Trials,
) -> BacktestResult:
    """What `scribe` has written down, with the figures that follow from it."""
    equity = scribe.equity if scribe.equity is not None else cash
    daily = daily_equity(scribe.observed, now=max(each.end_ts for each in series))
    trips = round_trips(scribe.fills, qty_steps)
    return BacktestResult(
        digest=scribe.digest,
        settings_digest=settings_digest(settings),
        code_version=code_version,
        series=series,
        model=model,
        quote=quote,
        cash=cash,
        equity_final=equity,
        drawdown_max=scribe.drawdown_max,
        daily=daily,
        trips=trips,
        record=book_record(daily, trips, trials=trials),
        curve=scribe.curve.points,
        prices={name: each.bars for name, each in sorted(scribe.prices.items())},
        levels=scribe.levels,
        entries=scribe.entries,
        counts=dict(sorted(scribe.counts.items())),
        denials=dict(scribe.denials.most_common()),
        alerts=dict(scribe.alerts.most_common()),
    )


def settings_digest(settings: Mapping[str, Any]) -> str:
    """32 hex characters over the machines' settings, by service."""
    ordered = {name: msgspec.to_builtins(settings[name]) for name in sorted(settings)}
    return hashlib.blake2b(msgspec.json.encode(ordered), digest_size=16).hexdigest()


def summary(result: BacktestResult) -> dict[str, Any]:
    """The result as one flat JSON document for scripts: what is not known is null."""
    record, trades = result.record, result.record.trades
    return {
        "schema": SCHEMA,
        "digest": result.digest,
        "settings_digest": result.settings_digest,
        "code_version": result.code_version,
        "series": [msgspec.to_builtins(each) for each in result.series],
        "model": msgspec.to_builtins(result.model),
        "cash": str(result.cash),
        "equity_final": str(result.equity_final),
        "quote": result.quote,
        "bars": sum(each.bars for each in result.series),
        "days": record.days,
        "trades": trades.count,
        "trades_open": record.trades_open,
        "commission": str(trades.commission),
        "metrics": {
            "total_return": float(result.equity_final / result.cash) - 1.0,
            "drawdown_max": float(result.drawdown_max),
            **metrics_of(record),
        },
        "targets": targets_of(record),
        "counts": result.counts,
        "denials": result.denials,
        "alerts": result.alerts,
        "variants": [msgspec.to_builtins(each) for each in result.variants],
    }


def metrics_of(record: TrackRecord) -> dict[str, Any]:
    """Every figure of a record for scripts, each with its interval; what is not known is null."""
    trades = record.trades
    return {
        "sharpe": _interval(record.sharpe),
        "sortino": _interval(record.sortino),
        "calmar": _interval(record.calmar),
        "cagr": _interval(record.cagr),
        "volatility": _interval(record.volatility),
        "drawdown": _interval(record.drawdown),
        "underwater_days": _interval(record.underwater_days),
        "win_rate": _interval(trades.win_rate),
        "profit_factor": _interval(trades.profit_factor),
        "expectancy": _interval(trades.expectancy),
        "cost_share": _interval(trades.cost_share),
        "exposure": _interval(record.activity.exposure),
        "turnover": _interval(record.activity.turnover),
        "psr": _known(record.psr),
        "deflated_sharpe": _known(record.deflated),
        "trials": record.trials.count,
        "days_needed": _known(record.days_needed),
    }


def targets_of(record: TrackRecord) -> list[dict[str, Any]]:
    """The targets of a record for scripts, each with the chance that the truth is above it."""
    return [
        {
            "name": each.name,
            "target": each.target,
            "observed": _known(each.observed),
            "chance_above": _known(each.chance_above),
            "observations": each.observations,
        }
        for each in record.targets
    ]


def _interval(figure: Any) -> dict[str, float | None]:
    return {"value": _known(figure.value), "low": _known(figure.low), "high": _known(figure.high)}


def _known(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if value - value == 0.0 else None
