"""What Kraken says of our key, our clock, our fees and our pairs. Every part is asked for by itself, and may fail alone."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec

from libs.common.messages import VenueChecked
from libs.common.money import plain
from services.order_executor.adapters.clock_drift import ClockDrift
from services.order_executor.adapters.frames import BadFrame
from services.order_executor.adapters.kraken_frames import result_of
from services.order_executor.adapters.kraken_names import by_pair, pair_of
from services.order_executor.adapters.venue_check import part_or_none
from services.order_executor.adapters.wire import CallFailed, Wire
from services.order_executor.refusals import kind_of
from services.order_executor.requests import CheckVenue

WEIGHT = 1
TRADING = {"modify-trades", "close-trades"}
WITHDRAWING = {"withdraw-funds", "add-withdraw-address", "update-withdraw-address"}
BPS_PER_PERCENT = 100
OPEN = "online"


class _Time(msgspec.Struct):
    unixtime: int


class _Key(msgspec.Struct, rename="camel"):
    """GetApiKeyInfo: what the key may do, and from where."""

    permissions: list[str]
    ip_allowlist: list[str] = []


class _Fee(msgspec.Struct):
    fee: Decimal


class _Volume(msgspec.Struct):
    """TradeVolume, in percent by pair; where there is no maker's table, everybody pays the same."""

    fees: dict[str, _Fee]
    fees_maker: dict[str, _Fee] = {}


class _Listed(msgspec.Struct):
    altname: str
    status: str = OPEN


class KrakenDrift(ClockDrift):
    """Kraken tells whole seconds: what it shows is half a second ago, give or take as much."""

    async def _shown(self, wire: Wire) -> tuple[int, int]:
        raw = await wire.send(wire.exchange.public_get_time, {})
        return result_of(raw, _Time).unixtime * 1000 + 500, 500


class KrakenCheck:
    """Asks."""

    def __init__(self, wire: Wire, drift: ClockDrift) -> None:
        self._wire = wire
        self._drift = drift

    async def check(self, request_id: str, request: CheckVenue) -> VenueChecked:
        """All parts, at the same time."""
        failures: list[str] = []
        key, fees, drift, tradable = await asyncio.gather(
            part_or_none("GetApiKeyInfo", self._key(), failures),
            part_or_none("TradeVolume", self._fees(request.instruments), failures),
            part_or_none("Time", self._drift.measure(), failures),
            part_or_none("AssetPairs", self._tradable(request.instruments), failures),
        )
        may = set(key.permissions) if key else set()
        return VenueChecked(
            request_id=request_id,
            ok=any(part is not None for part in (key, fees, drift, tradable)),
            detail="; ".join(failures)[:300],
            clock_drift_ms=drift.offset_ms if drift else None,
            can_trade=may >= TRADING if key else None,
            can_withdraw=bool(may & WITHDRAWING) if key else None,
            ip_restricted=bool(key.ip_allowlist) if key else None,
            maker_bps=fees[0] if fees else None,
            taker_bps=fees[1] if fees else None,
            tradable=tradable,
        )

    async def _key(self) -> _Key:
        return result_of(await self._wire.ask(self._wire.exchange.private_post_getapikeyinfo, {}, WEIGHT), _Key)

    async def _fees(self, instruments: tuple[str, ...]) -> tuple[Decimal, Decimal]:
        """Maker's and taker's, in basis points: the dearest of our pairs."""
        pairs = ",".join(pair_of(name) for name in instruments)
        raw = await self._wire.ask(self._wire.exchange.private_post_tradevolume, {"pair": pairs}, WEIGHT)
        found = result_of(raw, _Volume)
        taker = [each.fee for each in found.fees.values()]
        maker = [each.fee for each in found.fees_maker.values()] or taker
        if not taker or not all(fee.is_finite() for fee in (*taker, *maker)):
            raise BadFrame("no fees, or one is not a number")
        return plain(max(maker) * BPS_PER_PERCENT), plain(max(taker) * BPS_PER_PERCENT)

    async def _tradable(self, instruments: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `instruments` that are traded. One that is not listed has the whole question refused: then each is asked for."""
        try:
            listed = await self._listed(*instruments)
        except CallFailed as failed:
            if not _is_unlisted(failed):
                raise
            listed = [each for name in instruments for each in await self._listed_or_none(name)]
        names = by_pair(instruments)
        open_now = {names.get(each.altname) for each in listed if each.status == OPEN}
        return tuple(name for name in instruments if name in open_now)

    async def _listed_or_none(self, instrument: str) -> list[_Listed]:
        try:
            return await self._listed(instrument)
        except CallFailed as failed:
            if not _is_unlisted(failed):
                raise
            return []

    async def _listed(self, *instruments: str) -> list[_Listed]:
        asked = {"pair": ",".join(pair_of(name) for name in instruments)}
        raw = await self._wire.ask(self._wire.exchange.public_get_assetpairs, asked, WEIGHT)
        return list(result_of(raw, dict[str, _Listed]).values())


def _is_unlisted(failed: CallFailed) -> bool:
    return kind_of(failed.outcome.code, failed.outcome.detail) == "MARKET_CLOSED"
