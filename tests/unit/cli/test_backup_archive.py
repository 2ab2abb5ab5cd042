"""An archive of a log: it grows, survives whoever writes it being killed, and shows every change to it."""

from __future__ import annotations

import gzip
import hashlib
import json
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.adapter import LogEntry
from services.cli.backup import archive_writer
from services.cli.backup.archive import (
    FILES,
    MANIFEST,
    NOTHING,
    BadArchive,
    entries_of,
    kept_content,
    next_head,
    read_manifest,
)
from services.cli.backup.archive_writer import ArchiveWriter, keep_file
from services.cli.log_dump import read_dump
from services.cli.log_lines import BadDump, Stored

STREAM = "TRADING_0001"
NOW = 1_767_571_200_000_000_000


def entry(seq: int, text: str = "") -> LogEntry:
    return LogEntry(seq, "feed.marks", f"entry {seq} {text}".encode(), f"00-{seq:032x}-{seq:016x}-01")


def add(folder: Path, seqs: range, text: str = "") -> None:
    """Add entries and let them count."""
    writer = ArchiveWriter(folder, STREAM)
    for seq in seqs:
        writer.add(Stored(entry(seq, text), NOW + seq))
    writer.commit(NOW)
    writer.close()


def held(folder: Path, to_seq: int | None = None) -> list[Stored]:
    return list(entries_of(folder, read_manifest(folder), to_seq))


def stored(*seqs: int) -> list[Stored]:
    return [Stored(entry(seq), NOW + seq) for seq in seqs]


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten entries make a segment."""
    monkeypatch.setattr(archive_writer, "SEGMENT_ENTRIES_MAX", 10)


def test_what_was_added_comes_back(tmp_path: Path) -> None:
    """Sequence, subject, trace, payload and the time of storing, in order; and up to a place, if one is named."""
    add(tmp_path, range(5, 8))
    add(tmp_path, range(8, 10))
    assert held(tmp_path) == stored(5, 6, 7, 8, 9)
    assert held(tmp_path, 7) == stored(5, 6, 7)
    assert [each.seq for each in read_dump(tmp_path)] == [5, 6, 7, 8, 9]


@pytest.mark.usefixtures("short_segments")
def test_full_tails_are_sealed_and_never_written_again(tmp_path: Path) -> None:
    """Growing by 7, 30 and 1 gives the same segments, to the byte, as growing by 38."""
    at_once, bit_by_bit = tmp_path / "at once", tmp_path / "bit by bit"
    add(at_once, range(1, 39))
    for begin, end in pairwise((1, 8, 38, 39)):
        add(bit_by_bit, range(begin, end))
    sealed = sorted(path.name for path in at_once.glob("*.gz"))
    assert sealed == [f"{STREAM}-{first:012d}-{first + 9:012d}.jsonl.gz" for first in (1, 11, 21)]
    assert read_manifest(at_once) == read_manifest(bit_by_bit)
    for name in sealed:
        assert (at_once / name).read_bytes() == (bit_by_bit / name).read_bytes()
    assert held(bit_by_bit) == stored(*range(1, 39))


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("more", [1, 9, 10, 25])
def test_what_was_not_committed_does_not_count(tmp_path: Path, more: int) -> None:
    """A writer killed at any point leaves the archive as its last commit left it, and the next one goes on there."""
    add(tmp_path, range(1, 16))
    killed = ArchiveWriter(tmp_path, STREAM)
    for seq in range(16, 16 + more):
        killed.add(Stored(entry(seq, "lost"), NOW))
    killed.close()  # without a commit: what its buffers held is in the files
    assert held(tmp_path) == stored(*range(1, 16))
    add(tmp_path, range(16, 18))
    assert held(tmp_path) == stored(*range(1, 18))
    assert {path.name for path in tmp_path.glob(f"{STREAM}*")} == {
        f"{STREAM}-{1:012d}-{10:012d}.jsonl.gz",
        f"{STREAM}-{11:012d}.jsonl",
    }


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("count", [1, 9, 10, 20, 23])
def test_the_last_entry_is_found_from_the_end(tmp_path: Path, count: int) -> None:
    """In the tail, in the newest segment where there is no tail, and where one entry is longer than what is read at once."""
    add(tmp_path, range(1, count), "x" * 70_000)
    add(tmp_path, range(count, count + 1), "y" * 200_000)
    writer = ArchiveWriter(tmp_path, STREAM)
    assert writer.last_entry() == entry(count, "y" * 200_000)
    writer.close()


def test_the_head_tells_two_logs_apart_and_nothing_else_does() -> None:
    """Another payload, subject, trace or place gives another head; where the border between two parts is matters, too."""
    plain = LogEntry(7, "ab", b"cd", "e")
    others = [
        LogEntry(8, "ab", b"cd", "e"),
        LogEntry(7, "abc", b"d", "e"),
        LogEntry(7, "ab", b"ecd", ""),
        LogEntry(7, "ab", b"cD", "e"),
    ]
    assert len({next_head(NOTHING, each) for each in (plain, *others)}) == 5
    assert next_head(NOTHING, plain) == next_head(NOTHING, LogEntry(7, "ab", b"cd", "e"))
    assert next_head(NOTHING, plain) != next_head(b"\1" + NOTHING[1:], plain)


@given(st.lists(st.binary(max_size=80), max_size=12))
def test_any_payload_survives(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    """Text or not."""
    folder = tmp_path_factory.mktemp("archive")
    writer = ArchiveWriter(folder, STREAM)
    wanted = [Stored(LogEntry(seq, "a.b", payload), seq) for seq, payload in enumerate(payloads, start=1)]
    for each in wanted:
        writer.add(each)
    writer.commit(NOW)
    writer.close()
    assert held(folder) == wanted


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.fixture
def grown(tmp_path: Path, short_segments: None) -> Path:
    """Two sealed segments and a tail of five."""
    add(tmp_path, range(1, 26))
    return tmp_path


def told_of(folder: Path) -> tuple[str, list[Stored]]:
    """What is said of an archive that is read to its end, and what it held if nothing was."""
    try:
        return "", held(folder)
    except BadArchive as error:
        return str(error), []


def test_every_altered_byte_is_found(grown: Path) -> None:
    """One bit, in any file, at any of a hundred places: somewhere on the way it is said which file it is."""
    for path in sorted(grown.glob(f"{STREAM}*")):
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 100)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            told, found = told_of(grown)
            if told:
                assert path.name in told
            else:  # of a tail, the time of storing stands outside the chain
                assert path.suffix == ".jsonl"
                assert [each.entry for each in found] == [entry(seq) for seq in range(1, 26)], at
        path.write_bytes(whole)
    assert held(grown) == stored(*range(1, 26))


def test_a_missing_file_is_named(grown: Path) -> None:
    """A segment that is gone, and a tail that is shorter than the manifest says."""
    segment, tail = sorted(grown.glob("*.gz"))[0], next(grown.glob("*.jsonl"))
    content = tail.read_bytes()
    tail.write_bytes(content[:-1])
    with pytest.raises(BadArchive, match=rf"{tail.name} has {len(content) - 1} bytes of the {len(content)}"):
        held(grown)
    segment.unlink()
    with pytest.raises(BadArchive, match=f"{segment.name} cannot be read: No such file"):
        held(grown)


def test_an_entry_left_out_or_exchanged_is_found_though_the_digests_were_mended(grown: Path) -> None:
    """Whoever edits a segment and writes its new digest into the manifest still breaks the numbers or the chain."""
    manifest = json.loads((grown / MANIFEST).read_bytes())
    first = manifest["segments"][0]
    lines = gzip.decompress((grown / first["file"]).read_bytes()).splitlines(keepends=True)
    forged = {
        "holds entry 3 where 2 belongs": [lines[0], *lines[2:]],
        "holds entry 1 where 2 belongs": [lines[0], lines[0], *lines[2:]],
        "ends at entry 9, where it should end at 10": lines[:-1],
        "an entry up to 10 was altered": [lines[0].replace(b"entry 1 ", b"entry I "), *lines[1:]],
    }
    for text, edited in forged.items():
        packed = gzip.compress(b"".join(edited))
        (grown / first["file"]).write_bytes(packed)
        first["bytes"], first["sha256"] = len(packed), hashlib.sha256(packed).hexdigest()
        (grown / MANIFEST).write_text(json.dumps(manifest))
        with pytest.raises(BadArchive, match=text):
            held(grown)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"not json", "cannot be read"),
        (b'{"stream":"TRADING_0001","more":1}', "cannot be read"),
        (b'{"stream":"TRADING_0001","format":2}', "is of format 2"),
        (b'{"stream":"../x"}', "names files as no archive does"),
        (
            b'{"stream":"A","tail":{"file":"../../etc/passwd","first_seq":1,"bytes":1}}',
            "names files as no archive does",
        ),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path: Path, content: bytes, text: str) -> None:
    """By what is wrong with it; a path that leads out of the folder is."""
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BadArchive, match=text):
        read_manifest(tmp_path)


def test_a_folder_that_is_no_archive_is_left_alone(tmp_path: Path) -> None:
    """Reading says so; writing into it would mix two things."""
    with pytest.raises(BadArchive, match="holds no backup"):
        read_manifest(tmp_path)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(BadArchive, match="not empty, and holds no backup"):
        ArchiveWriter(tmp_path, STREAM)


def test_a_hole_is_refused_when_it_is_written(tmp_path: Path) -> None:
    """An entry that does not follow the last one never gets in, nor does another stream's."""
    add(tmp_path, range(1, 3))
    writer = ArchiveWriter(tmp_path, STREAM)
    with pytest.raises(BadArchive, match="entry 4 does not follow 2"):
        writer.add(Stored(entry(4), NOW))
    with pytest.raises(BadArchive, match="holds the log TRADING_0001, and this is TRADING_0002"):
        ArchiveWriter(tmp_path, "TRADING_0002")


def test_an_empty_archive_is_no_log(tmp_path: Path) -> None:
    """It can be made, and gives nothing to replay."""
    add(tmp_path, range(0))
    assert held(tmp_path) == []
    with pytest.raises(BadDump, match="is a backup of nothing yet"):
        list(read_dump(tmp_path))


# --- files --------------------------------------------------------------------------------------------------------


def test_only_the_newest_copy_of_a_file_is_kept(tmp_path: Path) -> None:
    """And it is proven before it is handed out."""
    for content in (b"old", b"new"):
        writer = ArchiveWriter(tmp_path, STREAM)
        writer.commit(NOW, [keep_file(tmp_path, content, "exchange_sim/clock.json")])
        writer.close()
    (kept,) = read_manifest(tmp_path).files
    assert kept_content(tmp_path, kept) == b"new"
    assert [path.name for path in (tmp_path / FILES).iterdir()] == [kept.file]
    (tmp_path / FILES / kept.file).write_bytes(b"odd")
    with pytest.raises(BadArchive, match="was altered"):
        kept_content(tmp_path, kept)
    with pytest.raises(BadArchive, match="bytes, and should have"):
        kept_content(tmp_path, msgspec.structs.replace(kept, bytes=4))
