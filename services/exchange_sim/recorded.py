"""The recorded market: real Binance frames, replayed in the order of their event times.

    history before the first minute      the recording            after its end
    generated, scaled to end at the  ──▶ frames as recorded  ──▶  generated, scaled to begin at the last price,
    first recorded price                                          ids going on from the last ones

A folder holds `<symbol>_<day>.gz`; a line is `<receive time in ns> <json>`, a combined-stream frame or a REST depth snapshot. Files of one
symbol are read one after the other, symbols are merged by time. `@bookTicker` has no time of its own: it takes its receive time,
corrected by how far the recorder's clock was off at the frame before. Within a symbol time never goes back.
"""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from libs.common.timeframe import MILLISECOND, MINUTE
from services.exchange_sim.generated import GeneratedHistory, generated_events
from services.exchange_sim.listing import instrument_of, listing_of
from services.exchange_sim.market import INTERVALS, DepthFrame, Event, History, Key, Kline, Quote, Trade, bar_of_trades

_ALWAYS = 1 << 62
_log = structlog.get_logger(__name__)


class RecordingError(Exception):
    """The folder or a line in it cannot be used; the text says which and why."""


class _Frame(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    last_update_id: int = msgspec.field(default=0, name="lastUpdateId")


class _TradeFrame(msgspec.Struct):
    event_ms: int = msgspec.field(name="E")
    trade_id: int = msgspec.field(name="t")
    px: str = msgspec.field(name="p")
    qty: str = msgspec.field(name="q")
    trade_ms: int = msgspec.field(name="T")
    is_sell: bool = msgspec.field(name="m")


class _QuoteFrame(msgspec.Struct):
    update_id: int = msgspec.field(name="u")
    bid_px: str = msgspec.field(name="b")
    bid_qty: str = msgspec.field(name="B")
    ask_px: str = msgspec.field(name="a")
    ask_qty: str = msgspec.field(name="A")


class _DepthTime(msgspec.Struct):
    event_ms: int = msgspec.field(name="E")


_frame = msgspec.json.Decoder(_Frame)
_trade = msgspec.json.Decoder(_TradeFrame)
_quote = msgspec.json.Decoder(_QuoteFrame)
_depth_time = msgspec.json.Decoder(_DepthTime)


class FrameReader:
    """The frames of one instrument as events, in the order of their times. Ranks count the lines."""

    def __init__(self, instrument: str, files: list[Path], place: int):
        self.instrument = instrument
        self._files = files
        self._rank = place << 40
        self._skew_ns = self._first_skew()
        self._ts = 0

    def events(self) -> Iterator[Event]:
        """All of them.

        Raises:
            RecordingError: a line that is not a frame.
        """
        for path, number, received, text in _lines(self._files):
            try:
                event = self._event(received, text)
            except (msgspec.DecodeError, ValueError) as error:
                raise RecordingError(f"{path}, line {number}: not a recorded Binance frame ({error})") from None
            if event is not None:
                yield event

    def _first_skew(self) -> int:
        """How far the recorder's clock is behind the exchange's at the first frame that tells."""
        for _, _, received, text in _lines(self._files):
            if b'"E":' in text:
                event_ms = _depth_time.decode(_frame.decode(text).data).event_ms
                return event_ms * MILLISECOND - received
        return 0

    def _event(self, received: int, text: bytes) -> Event | None:
        frame = _frame.decode(text)
        channel = frame.stream.partition("@")[2]
        if channel == "trade":
            return self._as_trade(received, frame.data)
        if channel == "bookTicker":
            return self._as_quote(received, frame.data)
        if channel.startswith("depth"):
            return self._as_depth(received, frame.data)
        if frame.last_update_id:
            ts, rank = self._key(received + self._skew_ns)
            return DepthFrame(ts=ts, rank=rank, instrument=self.instrument, raw=text.decode(), is_snapshot=True)
        return None

    def _as_trade(self, received: int, data: msgspec.Raw) -> Trade:
        found = _trade.decode(data)
        self._skew_ns = found.event_ms * MILLISECOND - received
        ts, rank = self._key(found.event_ms * MILLISECOND)
        return Trade(
            ts=ts,
            rank=rank,
            instrument=self.instrument,
            trade_id=found.trade_id,
            ts_trade=found.trade_ms * MILLISECOND,
            px=float(found.px),
            qty=float(found.qty),
            is_sell=found.is_sell,
            raw=bytes(data).decode(),
        )

    def _as_quote(self, received: int, data: msgspec.Raw) -> Quote:
        found = _quote.decode(data)
        ts, rank = self._key(received + self._skew_ns)
        return Quote(
            ts=ts,
            rank=rank,
            instrument=self.instrument,
            update_id=found.update_id,
            bid_px=float(found.bid_px),
            bid_qty=float(found.bid_qty),
            ask_px=float(found.ask_px),
            ask_qty=float(found.ask_qty),
            raw=bytes(data).decode(),
        )

    def _as_depth(self, received: int, data: msgspec.Raw) -> DepthFrame:
        event_ms = _depth_time.decode(data).event_ms
        self._skew_ns = event_ms * MILLISECOND - received
        ts, rank = self._key(event_ms * MILLISECOND)
        return DepthFrame(ts=ts, rank=rank, instrument=self.instrument, raw=bytes(data).decode())

    def _key(self, ts: int) -> Key:
        self._ts = max(self._ts, ts)
        self._rank += 1
        return self._ts, self._rank


def _lines(files: list[Path]) -> Iterator[tuple[Path, int, int, bytes]]:
    for path in files:
        try:
            with gzip.open(path, "rb") as lines:
                for number, line in enumerate(lines, start=1):
                    received, _, text = line.partition(b" ")
                    yield path, number, int(received), text
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise RecordingError(f"{path}: cannot be read ({error})") from None


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


class RecordedMarket:
    """All instruments of a folder of recorded frames."""

    def __init__(self, folder: Path, seed: int):
        self._files = _files_of(folder)
        self.identity = {
            "market": "recorded",
            "files": ",".join(sorted(path.name for files in self._files.values() for path in files)),
            "seed": str(seed),
        }
        first_events = {name: next(reader.events(), None) for name, reader in self._readers().items()}
        self.recorded = {
            instrument: RecordedHistory(seed, instrument, self._first_trade(instrument), place)
            for place, instrument in enumerate(self._files)
        }
        self.histories: dict[str, History] = dict(self.recorded)
        self.starts_at = min(event.ts for event in first_events.values() if event is not None) - 1

    def events(self, after: Key) -> Iterator[Event]:
        """Every event behind `after`: the recording once, then a generated market that goes on from it.

        Changes of the book come from the very beginning, as it is nothing without them.
        """
        last_ts = 0
        streams = [reader.events() for reader in self._readers().values()]
        for event in heapq.merge(*streams, key=lambda event: (event.ts, event.rank)):
            last_ts = event.ts
            self.recorded[event.instrument].record(event)
            if isinstance(event, DepthFrame) or (event.ts, event.rank) > after:
                yield event
        generated = [history.go_on_from(last_ts) for history in self.recorded.values()]
        _log.warning("recording_ended", last_ts=last_ts, goes_on="generated, from the last prices")
        yield from generated_events(generated, max(after, (last_ts, _ALWAYS)))

    def _readers(self) -> dict[str, FrameReader]:
        return {
            instrument: FrameReader(instrument, files, place)
            for place, (instrument, files) in enumerate(self._files.items())
        }

    def _first_trade(self, instrument: str) -> Trade:
        for event in self._readers()[instrument].events():
            if isinstance(event, Trade):
                return event
        raise RecordingError(f"{self._files[instrument][0].parent}: no trade of {instrument} was recorded")


def _files_of(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*_*.gz")):
        instrument = instrument_of(path.name.partition("_")[0])
        if instrument is not None:
            found[instrument].append(path)
    if not found:
        raise RecordingError(f"{folder}: no recorded frames (files like btcusdt_20240809.gz)")
    return dict(found)


def _without_ids(bar: Kline) -> Kline:
    bar.first_trade_id = bar.last_trade_id = -1
    return bar
