"""Market messages as the raw frames exchange_sim replays: `<symbol>_<day>.gz`, a line `<receive time in ns> <json>`.

The frames are rebuilt as Binance would have sent them. What a message does not carry is filled in: `E` is the trade's own time, `u`
its place in the stream. Only trades and quotes of binance can be written so; everything else is passed over and counted. A commit
appends one gzip member to each file and then writes down how long the files are; what a killed writer appended behind that is
cut off by the next one.
"""

from __future__ import annotations

import gzip
import os
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from libs.common.codec import BadEvent, decode
from libs.common.instruments import symbol_of
from libs.common.messages import Message, QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND, SECOND
from libs.runtime.adapter import LogEntry
from libs.runtime.recording_manifest import RAW_MANIFEST, Gap, Manifest, open_manifest, save_manifest, sync_folder

VENUE = "binance"


class RawFrameWriter:
    """Records the trades and quotes of a stream, in their order, as raw frames; one writer at a time."""

    def __init__(self, folder: Path, stream: str, stream_created: str, begins_at: int):
        """Go on with the recording in `folder`, or begin one with the message `begins_at`.

        Raises:
            RecordingError: the folder holds something else. OSError.
        """
        self.folder = folder
        fresh = Manifest(
            origin="raw", stream=stream, stream_created=stream_created, first_seq=begins_at, last_seq=begins_at - 1
        )
        self.manifest = open_manifest(folder / RAW_MANIFEST, fresh)
        self.last_seq = self.manifest.last_seq
        self.pending_bytes = 0
        self._lines: dict[str, list[bytes]] = defaultdict(list)
        self._cut_back()

    def note_gap(self, gap: Gap) -> None:
        """These messages are gone for ever; they count as passed."""
        self.manifest.gaps.append(gap)
        self.last_seq = max(self.last_seq, gap.last_seq)

    def add(self, entry: LogEntry) -> None:
        """Take the next entry; one that stands in the recording already is passed over."""
        if entry.seq <= self.last_seq:
            return
        self.last_seq = entry.seq
        self.manifest.messages += 1
        found = frame_of(entry)
        if found is None:
            self.manifest.unknown += 1
            return
        name, line = found
        self._lines[name].append(line)
        self.pending_bytes += len(line)

    def commit(self) -> list[Path]:
        """Put everything taken so far on disk; returns the files that grew."""
        paths = []
        for name, lines in self._lines.items():
            path = self.folder / name
            with path.open("ab") as file:
                file.write(gzip.compress(b"".join(lines), mtime=0))
                file.flush()
                os.fsync(file.fileno())
                self.manifest.files[name] = file.tell()
            paths.append(path)
        sync_folder(self.folder)
        self.manifest.last_seq = self.last_seq
        save_manifest(self.folder / RAW_MANIFEST, self.manifest)
        self._lines.clear()
        self.pending_bytes = 0
        return paths

    def _cut_back(self) -> None:
        for path in self.folder.glob("*_*.gz"):
            length = self.manifest.files.get(path.name, 0)
            if not length:
                path.unlink()
            elif path.stat().st_size > length:
                os.truncate(path, length)


def frame_of(entry: LogEntry) -> tuple[str, bytes] | None:
    """The file and the line of one message; None when Binance has no such frame."""
    try:
        message = decode(entry.payload)
    except BadEvent:
        return None
    match message:
        case TradePrinted(venue=venue, trade_id=number) if venue == VENUE and number.isdecimal():
            channel, data = "trade", _trade(message)
        case QuoteChanged(venue=venue) if venue == VENUE:
            channel, data = "bookTicker", _quote(message, entry.seq)
        case _:
            return None
    symbol = symbol_of(message.instrument).lower()
    frame = msgspec.json.encode({"stream": f"{symbol}@{channel}", "data": data})
    return f"{symbol}_{_day(message)}.gz", b"%d %s\n" % (message.ts_init, frame)


def _day(message: Message) -> str:
    return datetime.fromtimestamp(message.ts_init // SECOND, UTC).strftime("%Y%m%d")


def _trade(trade: TradePrinted) -> dict[str, Any]:
    ms = trade.ts_event // MILLISECOND
    return {
        "e": "trade",
        "E": ms,
        "s": symbol_of(trade.instrument),
        "t": int(trade.trade_id),
        "p": amount(trade.px),
        "q": amount(trade.qty),
        "T": ms,
        "m": trade.aggressor_side == "SELL",
        "M": True,
    }


def _quote(quote: QuoteChanged, seq: int) -> dict[str, Any]:
    return {
        "u": seq,
        "s": symbol_of(quote.instrument),
        "b": amount(quote.bid_px),
        "B": amount(quote.bid_qty),
        "a": amount(quote.ask_px),
        "A": amount(quote.ask_qty),
    }


def amount(value: float) -> str:
    """Eight decimals, as everywhere at Binance; more only where eight would be another number."""
    text = f"{value:.8f}"
    return text if float(text) == value else f"{Decimal(repr(value)):f}"
