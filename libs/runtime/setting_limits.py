"""The rules over numbers: how high each may be, and which must not pass which. docs/configuration.md is written from these lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

Values = Mapping[str, Any]
When = Callable[[Values], bool]

PERCENT = Decimal("0.01")
BASIS_POINTS = Decimal(10_000)


def always(values: Values) -> bool:
    """Whatever else is set."""
    return True


def on_wall_time(values: Values) -> bool:
    """Where time is real. A simulated venue's runs faster than its own processes do, so ages there are wider.

    Who is not told what clock others follow (`bulkhead up` tells them itself) does not guess.
    """
    return values.get("BULKHEAD_CLOCK_URL") == ""


def with_a_model(values: Values) -> bool:
    """Where a model is asked at all."""
    return bool(values.get("BULKHEAD_LLM_URL"))


class Ceiling(msgspec.Struct, frozen=True):
    """A number above `refused_above` is dangerous, above `asked_above` questionable."""

    variable: str
    refused_above: Decimal | None
    asked_above: Decimal | None
    why: str
    when: When = always


class Order(msgspec.Struct, frozen=True):
    """`low`, in the unit of `high` when multiplied with `low_unit`, must not pass `high`."""

    level: Literal["danger", "question"]
    low: str
    high: str
    why: str
    low_unit: Decimal = Decimal(1)
    is_strict: bool = False
    when: When = always


def _ceiling(name: str, refused: str, asked: str, why: str, when: When = always) -> Ceiling:
    return Ceiling(f"BULKHEAD_{name}", Decimal(refused) if refused else None, Decimal(asked), why, when)


def _danger(low: str, high: str, why: str, unit: Decimal = Decimal(1), *, strict: bool = False) -> Order:
    return Order("danger", f"BULKHEAD_{low}", f"BULKHEAD_{high}", why, unit, strict)


def _question(
    low: str, high: str, why: str, unit: Decimal = Decimal(1), *, strict: bool = False, when: When = always
) -> Order:
    return Order("question", f"BULKHEAD_{low}", f"BULKHEAD_{high}", why, unit, strict, when)


CEILINGS = (
    _ceiling("RISK_DRAWDOWN_HALT", "0.30", "0.20", "from 30 % down it takes 43 % to come back"),
    _ceiling("RISK_DAILY_LOSS_MAX", "0.15", "0.05", "a day like that is no longer noise, and tomorrow is another one"),
    _ceiling("RISK_POSITION_FRACTION_MAX", "0.50", "0.25", "one gap in one instrument would decide the whole book"),
    _ceiling("PORTFOLIO_POSITION_PCT_MAX", "50", "25", "one gap in one instrument would decide the whole book"),
    _ceiling("RISK_LOSS_FRACTION_MAX", "0.05", "0.02", "ten losses in a row happen, and must be survived"),
    _ceiling("PORTFOLIO_RISK_PER_TRADE", "0.05", "0.02", "ten losses in a row happen, and must be survived"),
    _ceiling("RISK_TOTAL_RISK_FRACTION_MAX", "0.20", "0.10", "in a crash every stop is hit on the same day"),
    _ceiling("RISK_CLUSTER_FRACTION_MAX", "", "0.50", "what moves together is one position"),
    _ceiling("RISK_CORRELATED_FRACTION_MAX", "", "0.60", "what moves together is one position"),
    _ceiling("RISK_STOP_DISTANCE_MAX", "0.50", "0.30", "a stop so far away protects nothing"),
    _ceiling("RISK_COLLAR_AGGRESSIVE", "0.10", "0.05", "a price so far past the mark is a mistake, not a wish"),
    _ceiling("EXEC_PRICE_BAND_BPS", "2000", "1000", "a price so far past the mark is a mistake, not a wish"),
    _ceiling("RISK_SPREAD_BPS_MAX", "200", "50", "the spread is paid at every entry and every exit"),
    _ceiling("EXEC_STOP_LIMIT_SLACK_BPS", "2000", "500", "a stop may fill that far below its trigger"),
    _ceiling("RISK_PRICE_AGE_MS_MAX", "30000", "10000", "orders would be judged by prices of the past", on_wall_time),
    _ceiling("EXEC_MARK_AGE_MS_MAX", "300000", "60000", "orders would be sent at prices of the past", on_wall_time),
    _ceiling("FEED_STALENESS_MS_MAX", "60000", "30000", "a dead feed would pass for a quiet market", on_wall_time),
    _ceiling("PORTFOLIO_QUOTE_AGE_MS_MAX", "60000", "15000", "sizes would be taken from old prices", on_wall_time),
    _ceiling(
        "RISK_RECONCILED_AGE_MS_MAX", "3600000", "600000", "books that nobody compares are believed", on_wall_time
    ),
    _ceiling("EXEC_COVER_MS_MAX", "120000", "30000", "that long a position may have no stop", on_wall_time),
    _ceiling("LLM_USD_PER_DAY_MAX", "", "50", "that is what one bad day of a model may cost"),
)
"""Highest numbers. Nothing here is a recommendation: the defaults are far below."""

_DENIED = "the gate would deny every full-sized wish"
_BLOCKED = "what the gate approves the executor would refuse"
_EDGE = "met exactly, any move of the price between wish and verdict turns a full-sized wish into a denial"

ORDERS = (
    _danger("RISK_DRAWDOWN_HALF_RISK", "RISK_DRAWDOWN_ENTRY_MAX", "the stages of a drawdown come one after the other"),
    _danger("RISK_DRAWDOWN_ENTRY_MAX", "RISK_DRAWDOWN_HALT", "the stages of a drawdown come one after the other"),
    _danger("RISK_LOSS_FRACTION_MAX", "RISK_TOTAL_RISK_FRACTION_MAX", "not even one full trade would fit"),
    _question("RISK_DAILY_LOSS_MAX", "RISK_DRAWDOWN_HALT", "the day's limit would never speak first", strict=True),
    _question("RISK_LOSS_FRACTION_MAX", "RISK_DAILY_LOSS_MAX", "a single loss would end the day"),
    _question("RISK_POSITION_FRACTION_MAX", "RISK_GROSS_EXPOSURE_FRACTION_MAX", "the higher limit can never be met"),
    _danger("PORTFOLIO_RISK_PER_TRADE", "RISK_LOSS_FRACTION_MAX", _DENIED),
    _danger("PORTFOLIO_POSITION_PCT_MAX", "RISK_POSITION_FRACTION_MAX", _DENIED, PERCENT),
    _danger("PORTFOLIO_POSITION_PCT_MAX", "RISK_ORDER_VALUE_FRACTION_MAX", _DENIED, PERCENT),
    _danger("PORTFOLIO_POSITION_PCT_MAX", "RISK_GROSS_EXPOSURE_FRACTION_MAX", _DENIED, PERCENT),
    _danger("PORTFOLIO_POSITION_PCT_MAX", "RISK_CLUSTER_FRACTION_MAX", _DENIED, PERCENT),
    _danger("PORTFOLIO_POSITION_PCT_MAX", "RISK_CORRELATED_FRACTION_MAX", _DENIED, PERCENT),
    _question("PORTFOLIO_POSITION_PCT_MAX", "RISK_POSITION_FRACTION_MAX", _EDGE, PERCENT, strict=True),
    _question("PORTFOLIO_RISK_PER_TRADE", "RISK_LOSS_FRACTION_MAX", _EDGE, strict=True),
    _question(
        "PORTFOLIO_RISK_PER_TRADE",
        "RISK_LOSS_FRACTION_MAX",
        "at half risk (a drawdown, a neutral regime) the gate would deny every full-sized wish",
        Decimal(2),
    ),
    _danger("RISK_ORDER_VALUE_MAX", "EXEC_NOTIONAL_MAX", _BLOCKED),
    _danger("RISK_COLLAR_AGGRESSIVE", "EXEC_PRICE_BAND_BPS", _BLOCKED, BASIS_POINTS),
    _danger("RISK_PRICE_AGE_MS_MAX", "EXEC_MARK_AGE_MS_MAX", _BLOCKED),
    _danger(
        "FEED_MARK_HEARTBEAT_MS", "RISK_PRICE_AGE_MS_MAX", "between two marks every price would be old", strict=True
    ),
    _danger("EXEC_RECONCILE_INTERVAL_MS", "RISK_RECONCILED_AGE_MS_MAX", "comparisons would come too late", strict=True),
    _question(
        "LLM_DEADLINE_MS",
        "PORTFOLIO_SIGNAL_AGE_MS_MAX",
        "a model may answer when the signal that it was asked about binds nobody any more",
        when=with_a_model,
    ),
    _question("LLM_USD_PER_CALL_MAX", "LLM_USD_PER_DAY_MAX", "one call may spend the day's money", when=with_a_model),
)
"""What must not pass what."""
