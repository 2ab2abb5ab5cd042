"""A log as a file: nothing is lost on the way, and a file that is not whole is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.adapter import LogEntry
from services.cli.log_dump import Spool, read_dump
from services.cli.log_lines import BadDump, entry_of, line_of

entries = st.builds(LogEntry, st.integers(1, 2**53), st.text(max_size=40), st.binary(max_size=200))


@given(entries)
def test_an_entry_survives_its_line(entry: LogEntry) -> None:
    """Any bytes, text or not, come back as they were, from one line of JSON."""
    line = line_of(entry)
    assert entry_of(line) == entry
    assert line.count(b"\n") == 1
    json.loads(line)


@given(st.lists(entries, max_size=8), st.lists(entries, max_size=8))
def test_a_spool_reads_in_any_order(first: list[LogEntry], more: list[LogEntry]) -> None:
    """Written, read forwards, backwards and in part, written on, read again."""
    with Spool() as spool:
        for entry in first:
            spool.append(entry)
        assert list(spool) == first
        for entry in more:
            spool.append(entry)
        assert list(reversed(spool)) == [*first, *more][::-1]
        assert list(spool) == [*first, *more]
        assert spool[1:3] == [*first, *more][1:3]
        assert len(spool) == len(first) + len(more)


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def line(seq: int) -> bytes:
    return line_of(LogEntry(seq, "feed.marks", b"{}"))


def test_a_dump_may_begin_anywhere_but_not_skip(tmp_path: Path) -> None:
    """A later epoch begins at its own sequence; a gap, a repeat or a disorder is a line that is missing."""
    assert [entry.seq for entry in read_dump(write(tmp_path / "log", line(5), line(6)))] == [5, 6]
    for lines in ((line(1), line(3)), (line(1), line(1)), (line(2), line(1))):
        with pytest.raises(BadDump, match="line 2 holds entry"):
            list(read_dump(write(tmp_path / "log", *lines)))


@pytest.mark.parametrize(
    "bad",
    [
        b"not json\n",
        b'{"seq":2}\n',
        b'{"seq":2,"subject":"a"}\n',
        b'{"seq":2,"subject":"a","payload":"x","payload_base64":"eA=="}\n',
        b'{"seq":2,"subject":"a","payload_base64":"!"}\n',
        b'{"seq":2,"subject":"a","payload":"x","more":1}\n',
        b"\xff\n",
        line(2)[:20],
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: bytes) -> None:
    """Which file, which line, and that it is no entry."""
    with pytest.raises(BadDump, match="log, line 2"):
        list(read_dump(write(tmp_path / "log", line(1), bad)))


def test_nothing_is_no_dump(tmp_path: Path) -> None:
    """An empty file proves nothing."""
    with pytest.raises(BadDump, match="empty"):
        list(read_dump(write(tmp_path / "log")))
