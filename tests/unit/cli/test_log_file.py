"""Logs that never fill the disk."""

from __future__ import annotations

from pathlib import Path

from services.cli.log_file import BoundedLog


def test_a_full_log_makes_room_and_the_oldest_lines_go(tmp_path: Path) -> None:
    """Ten bytes at most in each, two older ones kept."""
    log = BoundedLog(tmp_path / "logs" / "x.log", bytes_max=10, kept=2)
    for n in range(5):
        log.write(b"line %d \n" % n)
    log.close()
    texts = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert texts == {"x.log": "line 4 \n", "x.log.1": "line 3 \n", "x.log.2": "line 2 \n"}


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    """A restart of the supervisor loses no words, and still counts the old ones."""
    for n in range(2):
        log = BoundedLog(tmp_path / "x.log", bytes_max=16)
        log.write(b"line %d \n" % n)
        log.close()
    assert (tmp_path / "x.log").read_text() == "line 0 \nline 1 \n"
    log = BoundedLog(tmp_path / "x.log", bytes_max=16)
    log.write(b"more\n")
    log.close()
    assert (tmp_path / "x.log").read_text() == "more\n"


def test_a_line_larger_than_the_bound_is_kept_whole(tmp_path: Path) -> None:
    """An empty log takes any line."""
    log = BoundedLog(tmp_path / "x.log", bytes_max=4)
    log.write(b"far too long\n")
    log.close()
    assert (tmp_path / "x.log").read_text() == "far too long\n"
