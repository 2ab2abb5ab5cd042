"""What the venue says of our key, our clock, our fees and our instruments. Every part is asked for by itself, and may fail alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from decimal import Decimal
from typing import TypeVar

import msgspec

from libs.common.messages import VenueChecked
from libs.common.money import plain
from libs.runtime.adapter import NotGranted
from services.order_executor.adapters.clock_drift import ClockDrift
from services.order_executor.adapters.frames import BadFrame, converted, symbol_of
from services.order_executor.adapters.wire import CallFailed, Wire
from services.order_executor.requests import CheckVenue

KEY_WEIGHT, ACCOUNT_WEIGHT, RULES_WEIGHT = 1, 20, 20
"""What Binance counts a request as."""
BPS = Decimal(10_000)
NO_SUCH_SYMBOL = "-1121"
TRADING = "TRADING"

T = TypeVar("T")


class _Rights(msgspec.Struct, rename="camel"):
    """`apiRestrictions`: what the key may do."""

    ip_restrict: bool
    enable_withdrawals: bool
    enable_spot_and_margin_trading: bool


class _Rates(msgspec.Struct):
    maker: Decimal
    taker: Decimal


class _Standing(msgspec.Struct, rename="camel"):
    """The account: whether it may trade, and for what fee."""

    can_trade: bool
    commission_rates: _Rates


class _Listed(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    is_spot_trading_allowed: bool = True


class _Rules(msgspec.Struct):
    symbols: list[_Listed]


class VenueCheck:
    """Asks."""

    def __init__(self, wire: Wire, drift: ClockDrift) -> None:
        self._wire = wire
        self._drift = drift

    async def check(self, request_id: str, request: CheckVenue) -> VenueChecked:
        """All parts, at the same time."""
        failures: list[str] = []
        rights, standing, drift, tradable = await asyncio.gather(
            part_or_none("apiRestrictions", self._rights(), failures),
            part_or_none("account", self._standing(), failures),
            part_or_none("time", self._drift.measure(), failures),
            part_or_none("exchangeInfo", self._tradable(request.instruments), failures),
        )
        rates = standing.commission_rates if standing else None
        return VenueChecked(
            request_id=request_id,
            ok=any(part is not None for part in (rights, standing, drift, tradable)),
            detail="; ".join(failures)[:300],
            clock_drift_ms=drift.offset_ms if drift else None,
            can_trade=_may_trade(rights, standing),
            can_withdraw=rights.enable_withdrawals if rights else None,
            ip_restricted=rights.ip_restrict if rights else None,
            maker_bps=plain(rates.maker * BPS) if rates else None,
            taker_bps=plain(rates.taker * BPS) if rates else None,
            tradable=tradable,
        )

    async def _rights(self) -> _Rights:
        raw = await self._wire.ask(self._wire.exchange.sapi_get_account_apirestrictions, {}, KEY_WEIGHT)
        return converted(raw, _Rights)

    async def _standing(self) -> _Standing:
        params = {"omitZeroBalances": "true"}
        raw = await self._wire.ask(self._wire.exchange.private_get_account, params, ACCOUNT_WEIGHT)
        found = converted(raw, _Standing)
        if not all(rate.is_finite() for rate in (found.commission_rates.maker, found.commission_rates.taker)):
            raise BadFrame("a fee is not a number")
        return found

    async def _tradable(self, instruments: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `instruments` that are traded. One that is not listed has the whole question refused: then each is asked for."""
        try:
            listed = await self._listed(*instruments)
        except CallFailed as failed:
            if failed.outcome.code != NO_SUCH_SYMBOL:
                raise
            listed = [each for name in instruments for each in await self._listed_or_none(name)]
        open_now = {each.symbol for each in listed if each.status == TRADING and each.is_spot_trading_allowed}
        return tuple(name for name in instruments if symbol_of(name) in open_now)

    async def _listed_or_none(self, instrument: str) -> list[_Listed]:
        try:
            return await self._listed(instrument)
        except CallFailed as failed:
            if failed.outcome.code != NO_SUCH_SYMBOL:
                raise
            return []

    async def _listed(self, *instruments: str) -> list[_Listed]:
        symbols = json.dumps([symbol_of(name) for name in instruments], separators=(",", ":"))
        raw = await self._wire.ask(self._wire.exchange.public_get_exchangeinfo, {"symbols": symbols}, RULES_WEIGHT)
        return converted(raw, _Rules).symbols


def _may_trade(rights: _Rights | None, standing: _Standing | None) -> bool | None:
    """The account may, and the key: one no is enough, and a yes takes both."""
    said = [
        rights.enable_spot_and_margin_trading if rights else None,
        standing.can_trade if standing else None,
    ]
    if False in said:
        return False
    return None if None in said else True


async def part_or_none(name: str, part: Awaitable[T], failures: list[str]) -> T | None:
    """`part`, or None and why in `failures`."""
    try:
        return await part
    except CallFailed as failed:
        failures.append(f"{name}: {failed.text}")
    except (BadFrame, NotGranted) as error:
        failures.append(f"{name}: {error}")
    return None
