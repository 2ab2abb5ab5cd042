"""What is recorded comes back as it was, in its order; what cannot be read is said with the file's name."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.codec import decode, encode
from libs.common.messages import Message, QuoteChanged, TradePrinted
from libs.common.timeframe import SECOND
from libs.runtime.adapter import LogEntry
from libs.runtime.recording import Recording
from libs.runtime.recording_manifest import MANIFEST, ForeignFolder, Gap, RecordingError, read_manifest
from libs.runtime.recording_tables import MessageTable, row_of
from libs.runtime.recording_writer import RecordingWriter
from tests.market_tape import MIDNIGHT, NOON, odd_ones, published, quote, tape, trade

CREATED = "2026-01-05T00:00:00Z"


def entries_of(found: list[tuple[str, bytes]], first: int = 1) -> list[LogEntry]:
    return [LogEntry(seq, *each) for seq, each in enumerate(found, start=first)]


def written(folder: Path, entries: list[LogEntry], commit_every: int = 50) -> RecordingWriter:
    writer = RecordingWriter(folder, "MARKET", CREATED, entries[0].seq)
    for place, entry in enumerate(entries, start=1):
        writer.add(entry)
        if place % commit_every == 0:
            writer.commit()
    writer.commit()
    return writer


finite = st.floats(allow_nan=False, allow_infinity=False)
instants = st.integers(0, 2**62 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
tokens = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
common = {"id": text, "ts_event": instants, "ts_init": instants, "correlation_id": text, "producer": st.just("market")}
trades = st.builds(
    TradePrinted,
    **common,
    done_in_seq=st.integers(0, 2**53 - 1),
    venue=tokens,
    instrument=tokens,
    trade_id=text,
    px=finite,
    qty=finite,
    aggressor_side=st.sampled_from(["BUY", "SELL", ""]),
)
quotes = st.builds(
    QuoteChanged,
    **common,
    venue=tokens,
    instrument=tokens,
    bid_px=finite,
    bid_qty=finite,
    ask_px=finite,
    ask_qty=finite,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(trades, quotes), min_size=1, max_size=12))
def test_every_message_is_rebuilt_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Message]
) -> None:
    """Whatever the texts, times and floats: the bytes that come back are those that stood in the stream."""
    folder = tmp_path_factory.mktemp("rec") / "x"
    entries = entries_of(published(messages))
    written(folder, entries, commit_every=5)
    assert list(Recording(folder).entries()) == entries


def test_kinds_instruments_and_days_are_merged_in_the_order_of_the_stream(tmp_path: Path) -> None:
    """Twenty instruments' worth of parts on two days, committed in pieces, are one sequence again."""
    told = published(tape(700))
    entries = entries_of([*told[:300], *odd_ones(), *told[300:]])
    written(tmp_path / "rec", entries, commit_every=37)
    recording = Recording(tmp_path / "rec")
    assert list(recording.entries()) == entries
    assert len(recording.parts) > 50
    assert (recording.venues(), recording.instruments()) == (("binance",), ("BTC-USDT", "ETH-USDT"))
    known = [(entry.seq, decode(entry.payload)) for entry in entries if not 301 <= entry.seq <= 304]
    odd_trade = (303, decode(entries[302].payload))  # on the wrong subject: kept, and readable
    assert list(recording.messages()) == sorted([*known, odd_trade], key=lambda each: each[0])


def test_readers_choose_by_kind_instrument_and_time(tmp_path: Path) -> None:
    """A back-test reads the trades of one instrument over one span, and nothing else."""
    entries = entries_of(published(tape(400)))
    written(tmp_path / "rec", entries)
    recording = Recording(tmp_path / "rec")
    since, until = MIDNIGHT - 10 * SECOND, MIDNIGHT - 6 * SECOND
    found = recording.messages(kinds=("trade",), instruments=("ETH-USDT",), since=since, until=until)
    wanted = [
        (entry.seq, message)
        for entry in entries
        if isinstance(message := decode(entry.payload), TradePrinted)
        and message.instrument == "ETH-USDT"
        and since <= message.ts_init < until
    ]
    assert list(found) == wanted
    assert len(wanted) > 5
    assert list(recording.messages(venues=("kraken",))) == []
    assert list(recording.messages(since=until, until=since)) == []


def test_what_was_unknown_is_read_by_code_that_knows_it(tmp_path: Path) -> None:
    """A message kept as bytes (here: it came on another's subject) is chosen by what it is, like all others."""
    stray = encode(trade(7, NOON, "ETH-USDT"))
    entries = entries_of([*published([trade(1, NOON)]), ("market.trade.binance.BTC-USDT", stray), *odd_ones()[:2]])
    written(tmp_path / "rec", entries)
    recording = Recording(tmp_path / "rec")
    assert [seq for seq, _ in recording.messages(kinds=("trade",), instruments=("ETH-USDT",))] == [2]
    assert [seq for seq, _ in recording.messages(kinds=("trade",), instruments=("BTC-USDT",))] == [1]
    assert list(recording.messages(kinds=("quote",))) == []
    assert list(recording.entries(kinds=("unknown",))) == entries[1:]
    assert list(recording.entries(kinds=("trade",))) == entries[:1]


def test_other_tools_read_it_as_typed_columns(tmp_path: Path) -> None:
    """Any Parquet reader finds numbers as numbers, zstd inside, and venue, instrument and date in the path."""
    written(tmp_path / "rec", entries_of(published([trade(1, NOON), trade(2, NOON + 1)])))
    table = pq.read_table(tmp_path / "rec" / "trade")
    assert table.schema.field("px").type == pa.float64()
    assert table.schema.field("ts_event").type == pa.int64()
    assert {"venue", "instrument", "date"} <= set(table.schema.names)
    (part,) = (tmp_path / "rec").rglob("*.parquet")
    assert part.relative_to(tmp_path / "rec") == Path(
        "trade/venue=binance/instrument=BTC-USDT/date=2026-01-05/part-000000000001.parquet"
    )
    assert pq.ParquetFile(part).metadata.row_group(0).column(0).compression == "ZSTD"


def test_an_uncommitted_part_is_neither_read_nor_kept(tmp_path: Path) -> None:
    """The manifest is the authority: what a killed writer left behind it is as if it never was."""
    entries = entries_of(published(tape(60)))
    written(tmp_path / "rec", entries[:40])
    before = (tmp_path / "rec" / MANIFEST).read_bytes()
    written(tmp_path / "rec", entries)
    (tmp_path / "rec" / MANIFEST).write_bytes(before)
    assert list(Recording(tmp_path / "rec").entries()) == entries[:40]
    writer = RecordingWriter(tmp_path / "rec", "MARKET", CREATED, 1)
    assert writer.last_seq == 40
    assert all(int(path.stem.removeprefix("part-")) <= 40 for path in (tmp_path / "rec").rglob("*.parquet"))
    for entry in entries:
        writer.add(entry)
    writer.commit()
    assert list(Recording(tmp_path / "rec").entries()) == entries


def test_a_gap_is_part_of_the_recording(tmp_path: Path) -> None:
    """It stands in the manifest once it is committed, with what came behind it."""
    entries = entries_of(published(tape(30)))
    writer = written(tmp_path / "rec", entries[:10])
    writer.note_gap(Gap(11, 15))
    assert read_manifest(tmp_path / "rec" / MANIFEST).gaps == []
    for entry in entries[15:]:
        writer.add(entry)
    writer.commit()
    recording = Recording(tmp_path / "rec")
    assert (recording.gaps, recording.gaps[0].count) == ((Gap(11, 15),), 5)
    assert [entry.seq for entry in recording.entries()] == [*range(1, 11), *range(16, 31)]


def test_what_has_no_time_of_its_own_lies_beside_its_neighbours(tmp_path: Path) -> None:
    """Bytes nobody can read are filed under the day of the message before them."""
    entries = entries_of([*published([quote(MIDNIGHT + SECOND)]), ("market.strange.thing", b"\x00\x01")])
    written(tmp_path / "rec", entries)
    assert (tmp_path / "rec" / "unknown" / "date=2026-01-06" / "part-000000000002.parquet").exists()
    assert list(Recording(tmp_path / "rec").entries()) == entries


class Imagined(Message, frozen=True, kw_only=True, tag="imagined.v1"):
    """A type of the future, with fields no column type is made for."""

    said_by: ClassVar[str] = "market"
    suffix: ClassVar[str] = "imagined.{venue}"

    venue: str
    px: Decimal
    levels: tuple[tuple[float, float], ...]
    bound_px: float | None
    raw_ts: int
    side: Literal["BUY", "SELL"] | None
    is_late: bool


def test_a_type_that_joins_the_language_is_recorded_without_a_change() -> None:
    """Plain fields are typed columns, all others JSON text; both come back as they were."""
    table = MessageTable(Imagined)
    assert (table.folder, table.shared) == ("imagined", ("venue",))
    types = {name: table.schema.field(name).type for name in ("px", "levels", "bound_px", "raw_ts", "side", "is_late")}
    assert [str(found) for found in types.values()] == ["string", "string", "double", "int64", "string", "bool"]
    messages = [
        Imagined(
            venue="kraken", px=Decimal("1.10"), levels=((1.0, 2.0),), bound_px=None, raw_ts=-5, side=None, is_late=True
        ),
        Imagined(venue="kraken", px=Decimal(2), levels=(), bound_px=0.1, raw_ts=0, side="SELL", is_late=False),
    ]
    rows = table.table([4, 9], messages)
    (batch,) = rows.to_batches()
    assert list(table.messages(batch, {"venue": "kraken"})) == [(4, messages[0]), (9, messages[1])]
    huge = Imagined(venue="x", px=Decimal(1), levels=(), bound_px=None, raw_ts=2**63, side=None, is_late=False)
    assert not table.fits(huge)
    assert table.fits(messages[0])


@pytest.mark.parametrize(("subject", "payload"), odd_ones(), ids=["newer", "not-text", "wrong-subject", "empty"])
def test_what_is_not_known_is_kept_as_bytes(subject: str, payload: bytes) -> None:
    """A newer type, bytes that are no message, a message on another's subject: no column is invented for them."""
    assert row_of(LogEntry(7, subject, payload)).table is None
    assert row_of(LogEntry(7, *published([trade(1, NOON)])[0])).table is not None


# --- refusals -----------------------------------------------------------------------------------------------------


def test_a_folder_without_a_manifest_is_no_recording(tmp_path: Path) -> None:
    """The text says which file was looked for."""
    with pytest.raises(RecordingError, match=r"no recording \(there is no recording.json\)"):
        Recording(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(RecordingError, match=r"recording.json: cannot be read"):
        Recording(tmp_path)
    (tmp_path / MANIFEST).write_text('{"format":2,"origin":"recorded"}')
    with pytest.raises(RecordingError, match="written in format 2; this code reads format 1"):
        Recording(tmp_path)
    (tmp_path / MANIFEST).write_text('{"format":1,"origin":"imported"}')
    with pytest.raises(ForeignFolder, match="holds imported market data, not recorded"):
        RecordingWriter(tmp_path, "MARKET", CREATED, 1)


def test_a_part_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Damaged, somebody else's, of an unknown type, or without a column."""
    written(tmp_path / "rec", entries_of(published([trade(1, NOON)])))
    (part,) = (tmp_path / "rec").rglob("*.parquet")
    table = pq.ParquetFile(part).read()
    cases = [
        (table.drop_columns("px"), "the column px of trade.v1 is missing"),
        (table.replace_schema_metadata({}), "not one of ours"),
        (
            table.replace_schema_metadata({b"bulkhead": b'{"type":"trade.v8"}'}),
            "holds trade.v8, which this code does not",
        ),
        (
            table.replace_schema_metadata({b"bulkhead": b'{"shared":{"venue":"../x"}}'}),
            "no venue, instrument or timeframe",
        ),
        (table.replace_schema_metadata({b"bulkhead": b"{"}), "its metadata cannot be read"),
    ]
    for changed, says in cases:
        pq.write_table(changed, part)
        with pytest.raises(RecordingError, match=rf"part-000000000001.parquet: .*{says}"):
            list(Recording(tmp_path / "rec").entries())
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(RecordingError, match=r"part-000000000001.parquet: cannot be read"):
        list(Recording(tmp_path / "rec").entries())


def test_commands_that_need_no_parquet_do_not_load_it() -> None:
    """`bulkhead status` starts as fast as before, and so does a venue that plays no Parquet."""
    program = "import services.cli.app, services.exchange_sim.server, sys; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
