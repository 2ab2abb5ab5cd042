"""A Parquet recording of the MARKET stream (`bulkhead record`), or imported trades, as events in the order of their event times.

Trades and quotes carry their own times; a quote that only knows when it was received is corrected by how far that clock was off
at the trade before, as with raw frames. Within an instrument time never goes back. What the feed said twice (it published some
trades again after a crash) is played once: a trade is known by its id where that counts up. Of several venues one is played:
binance, or else the first by name. No book was recorded, so it is drawn around the quotes, which are numbered by their place in
the stream; where no quotes were recorded either (imported trades), each trade brings a quote of one tick around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from libs.common.ids import derive_id
from libs.common.messages import Message, QuoteChanged, TradePrinted
from libs.runtime.recording import Recording
from libs.runtime.recording_manifest import RecordingError
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import Event, Key, Quote, Trade

PLAYED_FIRST = "binance"

_log = structlog.get_logger(__name__)


class ParquetFolder:
    """A Parquet dataset as the venue plays it."""

    def __init__(self, folder: Path):
        self.where = str(folder)
        self._recording = Recording(folder)
        traded = [name for name in self._recording.venues() if self._recording.instruments("trade", name)]
        if not traded:
            raise RecordingError(f"{folder}: no trades in this dataset, and a venue without trades has no prices")
        self.venue = PLAYED_FIRST if PLAYED_FIRST in traded else traded[0]
        if len(traded) > 1:
            _log.warning("one_venue_is_played", played=self.venue, left_out=[n for n in traded if n != self.venue])
        self._quoted = self._recording.instruments("quote", self.venue)
        files = [(str(part.path.relative_to(folder)), part.path.stat().st_size) for part in self._recording.parts]
        digest = derive_id(*(each for file in files for each in file))
        self.names = f"{self._recording.manifest.origin} {self.venue} {digest}"

    @property
    def instruments(self) -> tuple[str, ...]:
        """Every instrument that was traded."""
        return self._recording.instruments("trade", self.venue)

    def events(self, instrument: str, place: int) -> Iterator[Event]:
        """Everything recorded of one instrument, in order; `place` is its rank among the instruments.

        Raises:
            RecordingError: a part cannot be read.
        """
        reader = _EventReader(instrument, place, draws_quotes=instrument not in self._quoted)
        for _, message in self._messages(instrument, "trade"):
            reader.skew_ns = message.ts_event - message.ts_init
            break
        for seq, message in self._messages(instrument, "trade", "quote"):
            yield from reader.events(seq, message)

    def _messages(self, instrument: str, *kinds: str) -> Iterator[tuple[int, Message]]:
        return self._recording.messages(kinds=kinds, instruments=(instrument,), venues=(self.venue,))


class _EventReader:
    """What one instrument's messages are as events."""

    def __init__(self, instrument: str, place: int, *, draws_quotes: bool):
        self._instrument = instrument
        self._rank = place << 40
        self._draws_quotes = draws_quotes
        self._tick = float(listing_of(instrument).spec.px_tick)
        self.skew_ns = 0
        self._ts = 0
        self._last_trade_id = -1
        self._drawn = 0

    def events(self, seq: int, message: Message) -> Iterator[Event]:
        """None, one, or a drawn quote and its trade."""
        match message:
            case TradePrinted():
                self.skew_ns = message.ts_event - message.ts_init
                trade_id = int(message.trade_id) if message.trade_id.isdecimal() else seq
                if trade_id <= self._last_trade_id:
                    return
                self._last_trade_id = trade_id
                if self._draws_quotes:
                    yield self._drawn_quote(message)
                ts, rank = self._key(message.ts_event)
                yield Trade(
                    ts=ts,
                    rank=rank,
                    instrument=self._instrument,
                    trade_id=trade_id,
                    ts_trade=message.ts_event,
                    px=message.px,
                    qty=message.qty,
                    is_sell=message.aggressor_side == "SELL",
                )
            case QuoteChanged():
                has_own_time = message.ts_event != message.ts_init
                ts, rank = self._key(message.ts_event if has_own_time else message.ts_init + self.skew_ns)
                yield Quote(
                    ts=ts,
                    rank=rank,
                    instrument=self._instrument,
                    update_id=seq,
                    bid_px=message.bid_px,
                    bid_qty=message.bid_qty,
                    ask_px=message.ask_px,
                    ask_qty=message.ask_qty,
                )

    def _drawn_quote(self, trade: TradePrinted) -> Quote:
        """A taker who sold met the bid, one who bought the offer."""
        self._drawn += 1
        ts, rank = self._key(trade.ts_event)
        spread = min(self._tick, trade.px / 10_000)
        bid = trade.px if trade.aggressor_side == "SELL" else round(trade.px - spread, 8)
        return Quote(
            ts=ts,
            rank=rank,
            instrument=self._instrument,
            update_id=self._drawn,
            bid_px=bid,
            bid_qty=trade.qty,
            ask_px=round(bid + spread, 8),
            ask_qty=trade.qty,
        )

    def _key(self, ts: int) -> Key:
        self._ts = max(self._ts, ts)
        self._rank += 1
        return self._ts, self._rank
