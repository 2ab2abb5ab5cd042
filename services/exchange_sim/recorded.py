"""The recorded market: what a venue said, replayed in the order of its event times.

    history before the first minute      the recording            after its end
    generated, scaled to end at the  ──▶ events as recorded ──▶  generated, scaled to begin at the last price,
    first recorded price                                          ids going on from the last ones

A folder holds raw frames (`recorded_frames`) or Parquet (`recorded_parquet`); which, is told by what is in it. Symbols are merged
by time.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import structlog

from libs.common.timeframe import MINUTE
from libs.runtime.recording_manifest import RecordingError, is_dataset
from services.exchange_sim.generated import GeneratedHistory, generated_events
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import INTERVALS, DepthFrame, Event, History, Key, Kline, Quote, Trade, bar_of_trades
from services.exchange_sim.recorded_frames import FrameFolder

_ALWAYS = 1 << 62
_log = structlog.get_logger(__name__)


class RecordedHistory:
    """One instrument: generated before, recorded (as far as played) in the middle, generated after."""

    def __init__(self, seed: int, instrument: str, first_trade: Trade, place: int):
        self.listing = listing_of(instrument)
        self.instrument = instrument
        self._seed = seed
        self._place = place
        self._first_minute = first_trade.ts_trade // MINUTE
        self.last_trade = first_trade
        self.last_update_id = 0
        self._trades: list[Trade] = []
        self._minutes: dict[int, list[Trade]] = defaultdict(list)
        opens = (self._first_minute - 1) * MINUTE
        plain = GeneratedHistory(seed, instrument, self.listing)
        self._before = GeneratedHistory(
            seed, instrument, self.listing, scale=first_trade.px / plain.raw_px("1m", opens, at_close=True)
        )
        self.first_ts = self._before.first_ts
        self.after: GeneratedHistory | None = None
        self._ended_at = _ALWAYS

    def record(self, event: Event) -> None:
        """Remember what was played."""
        if isinstance(event, Trade):
            self.last_trade = event
            self._trades.append(event)
            self._minutes[event.ts_trade // MINUTE].append(event)
        elif isinstance(event, Quote):
            self.last_update_id = event.update_id

    def go_on_from(self, ts: int) -> GeneratedHistory:
        """The recording ended at `ts`: generate what follows, from the last price and with ids that go on."""
        plain = GeneratedHistory(self._seed, self.instrument, self.listing)
        past = [event for event in plain.minute_events(ts // MINUTE) if event.ts <= ts]
        trade = [event for event in past if isinstance(event, Trade)][-1]
        update_id = plain.update_id_at(ts // MINUTE) - 1 + sum(isinstance(event, Quote) for event in past)
        self._ended_at = ts
        self.after = GeneratedHistory(
            self._seed,
            self.instrument,
            self.listing,
            place=self._place,
            scale=self.last_trade.px / trade.px,
            trade_id_offset=self.last_trade.trade_id - trade.trade_id,
            update_id_offset=self.last_update_id - update_id,
        )
        return self.after

    def piece(self, interval: str, opens: int) -> Kline | None:
        """Whole bars of the generated parts, single minutes of the recording (flat ones where nothing was traded)."""
        minute = opens // MINUTE
        if minute + INTERVALS[interval] // MINUTE <= self._first_minute:
            bar = self._before.piece(interval, opens)
            return None if bar is None else _without_ids(bar)
        if self.after is not None and opens > self._ended_at:
            return self.after.piece(interval, opens)
        if interval != "1m" or minute < self._first_minute:
            return None
        return bar_of_trades(self.minute_trades(minute, _ALWAYS), self.listing) or self._flat(minute)

    def minute_trades(self, minute: int, now: int) -> list[Trade]:
        """What was printed in `minute`, up to `now`; the generated history before the recording has bars only."""
        found = [trade for trade in self._minutes.get(minute, []) if trade.ts <= now]
        if self.after is not None and (minute + 1) * MINUTE > self._ended_at:
            found += [trade for trade in self.after.minute_trades(minute, now) if trade.ts > self._ended_at]
        return found

    def recent_trades(self, count: int, now: int) -> list[Trade]:
        """The last `count` trades of the recording and what follows it."""
        found: list[Trade] = []
        if self.after is not None and now > self._ended_at:
            found = [trade for trade in self.after.recent_trades(count, now) if trade.ts > self._ended_at]
        recorded = [trade for trade in self._trades[-count - 1 :] if trade.ts <= now]  # one may have been read ahead
        return (recorded + found)[-count:]

    def trades_from(self, trade_id: int, count: int, now: int) -> list[Trade]:
        """Trades of the recording, and what follows it, from an id on."""
        found = [trade for trade in self._trades if trade.trade_id >= trade_id and trade.ts <= now][:count]
        if self.after is not None and len(found) < count:
            first_id = max(trade_id, self.last_trade.trade_id + 1)
            found += self.after.trades_from(first_id, count - len(found), now)
        return found

    def _flat(self, minute: int) -> Kline | None:
        earlier = next(
            (self._minutes[m][-1] for m in range(minute, self._first_minute - 1, -1) if self._minutes.get(m)), None
        )
        px = earlier.px if earlier else self._trades[0].px if self._trades else None
        if px is None:
            return None
        return Kline(
            open=px,
            high=px,
            low=px,
            close=px,
            lots=0,
            quote_units=0,
            taker_buy_lots=0,
            trade_count=0,
            first_trade_id=-1,
            last_trade_id=-1,
        )


class Source(Protocol):
    """Where recorded events come from."""

    where: str
    names: str

    @property
    def instruments(self) -> tuple[str, ...]:
        """Every instrument there is a recording of."""
        ...

    def events(self, instrument: str, place: int) -> Iterator[Event]:
        """Everything recorded of one instrument, in order; `place` is its rank among the instruments."""
        ...


def source_of(folder: Path) -> Source:
    """The recording in a folder: Parquet of `bulkhead record` or `bulkhead import`, or raw frames.

    Raises:
        RecordingError: it is neither.
    """
    if is_dataset(folder):
        from services.exchange_sim.recorded_parquet import ParquetFolder  # pyarrow is loaded by whom it serves only

        return ParquetFolder(folder)
    return FrameFolder(folder)


class RecordedMarket:
    """All instruments of a folder of recorded market data."""

    def __init__(self, folder: Path, seed: int):
        self._source = source_of(folder)
        instruments = self._source.instruments
        self.identity = {"market": "recorded", "files": self._source.names, "seed": str(seed)}
        first_events = [next(stream, None) for stream in self._streams()]
        self.recorded = {
            instrument: RecordedHistory(seed, instrument, self._first_trade(instrument), place)
            for place, instrument in enumerate(instruments)
        }
        self.histories: dict[str, History] = dict(self.recorded)
        self.starts_at = min(event.ts for event in first_events if event is not None) - 1

    def events(self, after: Key) -> Iterator[Event]:
        """Every event behind `after`: the recording once, then a generated market that goes on from it.

        Changes of the book come from the very beginning, as it is nothing without them.
        """
        last_ts = 0
        for event in heapq.merge(*self._streams(), key=lambda event: (event.ts, event.rank)):
            last_ts = event.ts
            self.recorded[event.instrument].record(event)
            if isinstance(event, DepthFrame) or (event.ts, event.rank) > after:
                yield event
        generated = [history.go_on_from(last_ts) for history in self.recorded.values()]
        _log.warning("recording_ended", last_ts=last_ts, goes_on="generated, from the last prices")
        yield from generated_events(generated, max(after, (last_ts, _ALWAYS)))

    def _streams(self) -> list[Iterator[Event]]:
        return [self._source.events(instrument, place) for place, instrument in enumerate(self._source.instruments)]

    def _first_trade(self, instrument: str) -> Trade:
        for event in self._source.events(instrument, 0):
            if isinstance(event, Trade):
                return event
        raise RecordingError(f"{self._source.where}: no trade of {instrument} was recorded")


def _without_ids(bar: Kline) -> Kline:
    bar.first_trade_id = bar.last_trade_id = -1
    return bar
