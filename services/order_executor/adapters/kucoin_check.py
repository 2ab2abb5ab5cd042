"""What KuCoin says of our key, our clock, our fees and our instruments. Every part is asked for by itself, and may fail alone."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec

from libs.common.messages import VenueChecked
from libs.common.money import plain
from services.order_executor.adapters.clock_drift import ClockDrift
from services.order_executor.adapters.frames import BadFrame
from services.order_executor.adapters.kucoin_frames import data_of
from services.order_executor.adapters.venue_check import BPS, part_or_none
from services.order_executor.adapters.wire import Wire
from services.order_executor.requests import CheckVenue

KEY_WEIGHT, FEES_WEIGHT, SYMBOLS_WEIGHT = 20, 3, 4
"""What KuCoin counts a request as."""
SYMBOLS_MAX = 10
"""Fees are told of so many symbols at once."""
MAY_TRADE = ("Spot", "Trade")
MAY_WITHDRAW = ("Withdrawal", "Withdraw", "Transfer")
"""Rights that let money leave; "InnerTransfer", between accounts of one owner, does not. KuCoin has renamed them: any will do."""


class _Key(msgspec.Struct, rename="camel"):
    permission: str
    ip_whitelist: str | None = None


class _Fees(msgspec.Struct, rename="camel"):
    symbol: str
    taker_fee_rate: Decimal
    maker_fee_rate: Decimal


class _Listed(msgspec.Struct, rename="camel"):
    symbol: str
    enable_trading: bool


class KucoinCheck:
    """Asks."""

    def __init__(self, wire: Wire, drift: ClockDrift) -> None:
        self._wire = wire
        self._drift = drift

    async def check(self, request_id: str, request: CheckVenue) -> VenueChecked:
        """All parts, at the same time."""
        failures: list[str] = []
        key, fees, drift, tradable = await asyncio.gather(
            part_or_none("user/api-key", self._key(), failures),
            part_or_none("trade-fees", self._fees(request.instruments), failures),
            part_or_none("timestamp", self._drift.measure(), failures),
            part_or_none("symbols", self._tradable(request.instruments), failures),
        )
        rights = {each.strip() for each in key.permission.split(",")} if key else set()
        return VenueChecked(
            request_id=request_id,
            ok=any(part is not None for part in (key, fees, drift, tradable)),
            detail="; ".join(failures)[:300],
            clock_drift_ms=drift.offset_ms if drift else None,
            can_trade=bool(rights.intersection(MAY_TRADE)) if key else None,
            can_withdraw=bool(rights.intersection(MAY_WITHDRAW)) if key else None,
            ip_restricted=bool(key.ip_whitelist) if key else None,
            maker_bps=plain(max(each.maker_fee_rate for each in fees) * BPS) if fees else None,
            taker_bps=plain(max(each.taker_fee_rate for each in fees) * BPS) if fees else None,
            tradable=tradable,
        )

    async def _key(self) -> _Key:
        return data_of(await self._wire.ask(self._wire.exchange.private_get_user_api_key, {}, KEY_WEIGHT), _Key)

    async def _fees(self, instruments: tuple[str, ...]) -> list[_Fees]:
        """Those of all instruments; the dearest one counts."""
        found: list[_Fees] = []
        for first in range(0, len(instruments), SYMBOLS_MAX):
            params = {"symbols": ",".join(instruments[first : first + SYMBOLS_MAX])}
            raw = await self._wire.ask(self._wire.exchange.private_get_trade_fees, params, FEES_WEIGHT)
            found += data_of(raw, list[_Fees])
        if not all(each.taker_fee_rate.is_finite() and each.maker_fee_rate.is_finite() for each in found):
            raise BadFrame("a fee is not a number")
        return found

    async def _tradable(self, instruments: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `instruments` that are traded."""
        raw = await self._wire.ask(self._wire.exchange.public_get_symbols, {}, SYMBOLS_WEIGHT)
        open_now = {each.symbol for each in data_of(raw, list[_Listed]) if each.enable_trading}
        return tuple(name for name in instruments if name in open_now)
