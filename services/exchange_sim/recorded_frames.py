"""Raw Binance frames as events, in the order of their event times.

A folder holds `<symbol>_<day>.gz`; a line is `<receive time in ns> <json>`, a combined-stream frame or a REST depth snapshot. Files of one
symbol are read one after the other. `@bookTicker` has no time of its own: it takes its receive time, corrected by how far the
recorder's clock was off at the frame before. Within a symbol time never goes back.
"""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libs.common.instruments import instrument_of
from libs.common.timeframe import MILLISECOND
from libs.runtime.recording_manifest import RecordingError
from services.exchange_sim.market import DepthFrame, Event, Key, Quote, Trade


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


class FrameFolder:
    """A folder of raw frames."""

    def __init__(self, folder: Path):
        self._files = _files_of(folder)
        self.where = str(folder)
        self.names = ",".join(sorted(path.name for files in self._files.values() for path in files))

    @property
    def instruments(self) -> tuple[str, ...]:
        """Every instrument there is a file of."""
        return tuple(self._files)

    def events(self, instrument: str, place: int) -> Iterator[Event]:
        """Everything recorded of one instrument, in order; `place` is its rank among the instruments.

        Raises:
            RecordingError: a line that is not a frame.
        """
        return FrameReader(instrument, self._files[instrument], place).events()


def _files_of(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*_*.gz")):
        instrument = instrument_of(path.name.partition("_")[0])
        if instrument is not None:
            found[instrument].append(path)
    if not found:
        raise RecordingError(
            f"{folder}: no recorded frames (files like btcusdt_20240809.gz), and no recording.json of `bulkhead record` either"
        )
    return dict(found)
