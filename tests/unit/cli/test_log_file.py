"""Logs that never fill the disk, and that nothing else depends on."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.cli.log_file import LogBounds, LogFolder, LogStream


class Logs(LogFolder):
    """A folder of logs, and what is said of them."""

    def __init__(self, folder: Path, **bounds: float):
        self.said: list[str] = []
        super().__init__(folder, LogBounds(**{"retry_s": 0.0, **bounds}), self.said.append)


@contextmanager
def files_of_at_most(bytes_max: int) -> Iterator[None]:
    """The kernel lets nobody here write a longer file, and takes the part of a line that still fits: as a disk does that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_log_makes_room_and_the_oldest_lines_go(tmp_path: Path) -> None:
    """Ten bytes at most in each, two older ones kept."""
    log = Logs(tmp_path / "logs", bytes_max=10, kept=2).log("x")
    for n in range(5):
        log.write(b"line %d \n" % n)
    log.close()
    texts = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert texts == {"x.log": "line 4 \n", "x.log.1": "line 3 \n", "x.log.2": "line 2 \n"}


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    """A restart of the supervisor loses no words, and still counts the old ones."""
    for n in range(2):
        log = Logs(tmp_path, bytes_max=16).log("x")
        log.write(b"line %d \n" % n)
        log.close()
    assert (tmp_path / "x.log").read_text() == "line 0 \nline 1 \n"
    log = Logs(tmp_path, bytes_max=16).log("x")
    log.write(b"more\n")
    log.close()
    assert (tmp_path / "x.log").read_text() == "more\n"


def test_a_line_larger_than_the_bound_is_kept_whole(tmp_path: Path) -> None:
    """An empty log takes any line."""
    log = Logs(tmp_path, bytes_max=4).log("x")
    log.write(b"far too long\n")
    log.close()
    assert (tmp_path / "x.log").read_text() == "far too long\n"


def test_who_reads_along_misses_no_line_when_files_change_their_names(tmp_path: Path) -> None:
    """A reader that follows the file it has open to its end, then opens the name anew, has every line in order: files are renamed, never cut."""
    log = Logs(tmp_path, bytes_max=100, kept=50).log("x")
    path, heard = tmp_path / "x.log", []
    reading = path.open("rb")
    for n in range(500):
        log.write(b"%d\n" % n)
        if path.stat().st_ino != os.fstat(reading.fileno()).st_ino:
            heard += reading.readlines()
            reading.close()
            reading = path.open("rb")
    heard += reading.readlines()
    reading.close()
    log.close()
    assert heard == [b"%d\n" % n for n in range(500)]
    kept = sum(len(each.read_bytes()) for each in tmp_path.iterdir())
    assert kept == sum(map(len, heard)), "and with room for them all, all of them are kept"


def test_a_full_disk_costs_lines_and_is_told_once(tmp_path: Path) -> None:
    """Nothing is raised, however long it lasts; another service's log is not told of as well."""
    logs = Logs(tmp_path)
    (tmp_path / "x.log").symlink_to("/dev/full")
    (tmp_path / "y.log").symlink_to("/dev/full")
    for log in (logs.log("x"), logs.log("y")):
        for _ in range(3):
            log.write(b"a line\n")
    assert logs.said == [
        f"logs are not written to {tmp_path}: No space left on device (x.log); everything else goes on without them"
    ]


def test_a_disk_that_was_full_shows_the_torn_line_and_how_many_are_missing(tmp_path: Path) -> None:
    """The half line ends where the disk was full, the gap is a line of its own, and all that comes later is whole."""
    logs = Logs(tmp_path)
    log = logs.log("x")
    log.write(b'{"n": 1}\n')
    with files_of_at_most(12):
        log.write(b'{"n": 2}\n')
        log.write(b'{"n": 3}\n')
    log.write(b'{"n": 4}\n')
    log.write(b'{"n": 5}\n')
    log.close()
    first, torn, gap, *rest = (tmp_path / "x.log").read_text().splitlines()
    assert (first, torn, rest) == ('{"n": 1}', '{"n', ['{"n": 4}', '{"n": 5}'])
    told = json.loads(gap)
    assert (told["event"], told["lines"], told["service"], told["level"]) == ("log_lines_lost", 2, "x", "warning")
    assert [text.split(":")[0].split(";")[0] for text in logs.said] == [
        f"logs are not written to {tmp_path}",
        f"logs are written to {tmp_path} again",
    ]


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    """From the first line of a process on; and a file that cannot be renamed is no reason to write without bounds."""
    (tmp_path / "logs").write_text("")  # in the way of the folder
    logs = Logs(tmp_path / "logs")
    log = logs.log("x")
    log.write(b"lost\n")
    (tmp_path / "logs").unlink()
    log.write(b"kept\n")
    assert (tmp_path / "logs" / "x.log").read_text().splitlines()[-1] == "kept"
    bounded = Logs(tmp_path / "logs", bytes_max=8, kept=1).log("y")
    (tmp_path / "logs" / "y.log.1").mkdir()
    (tmp_path / "logs" / "y.log.1" / "in the way").write_text("")
    for _ in range(5):
        bounded.write(b"a line\n")
    assert (tmp_path / "logs" / "y.log").read_text() == "a line\n"


def test_between_two_tries_a_lost_line_costs_nothing(tmp_path: Path) -> None:
    """A disk that is full is not asked for each line; lines of a minute later find it when it has room again."""
    (tmp_path / "logs").write_text("")
    log = Logs(tmp_path / "logs", retry_s=60.0).log("x")
    (tmp_path / "logs").unlink()
    log.write(b"not tried\n")
    assert not (tmp_path / "logs").exists()


def test_own_words_go_the_same_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The supervisor's own lines are bounded as well, and without anybody to say it to, trouble is said on stderr."""
    stream = LogStream(Logs(tmp_path).log("supervisor"))
    stream.write("ein Wort \u2026\n")
    stream.close()
    assert (tmp_path / "supervisor.log").read_text() == "ein Wort \u2026\n"
    (tmp_path / "z.log").symlink_to("/dev/full")
    LogFolder(tmp_path).log("z").write(b"a line\n")
    assert "everything else goes on" in capfd.readouterr().err
