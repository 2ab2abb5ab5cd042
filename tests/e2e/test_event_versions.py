"""The log outlives releases: what the one before wrote is read by this one, and what this one cannot know is not passed over in silence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from libs.common.codec import decode_from, encode
from libs.common.messages import TradingStateChanged
from libs.common.subjects import subject_matches, subject_of
from libs.runtime.adapter import LogEntry
from libs.runtime.registry import parts
from services.cli.log_dump import read_dump
from services.cli.log_lines import line_of
from services.cli.proof import prove_dump
from tests.previous_release import environment_of, previous_tree
from tests.style.tree import ROOT

RECORDS = """
import sys
from services.cli.log_lines import line_of
from tests.recorded_log import recorded_log
sys.stdout.buffer.write(b"".join(line_of(each) for each in recorded_log()))
"""
VERSIONS = "from libs.runtime.registry import parts; print(*(f'{p.contract.writer} {p.code_version}' for p in parts()), sep='\\n')"


def run_by(tree: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Python with the code of `tree`."""
    return subprocess.run(
        [sys.executable, *words], cwd=tree, env=environment_of(tree), capture_output=True, check=False, timeout=240
    )


@pytest.fixture(scope="module")
def old_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that the previous release's machines have written in a simulation, as a dump."""
    done = run_by(previous_tree(), "-c", RECORDS)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    path = tmp_path_factory.mktemp("old") / "log.jsonl"
    path.write_bytes(done.stdout)
    return path


def test_a_log_of_the_previous_release_is_read_and_replayed(old_log: Path) -> None:
    """Every event is one that this code knows. Where a writer's code is the same it is derived again to the byte; where it has changed that is said."""
    report = prove_dump(old_log)
    assert report.events > 300
    assert (report.undecodable, report.mismatch_count) == (0, 0)
    theirs = dict(line.split() for line in run_by(previous_tree(), "-c", VERSIONS).stdout.decode().splitlines())
    same = {part.contract.writer for part in parts() if theirs.get(part.contract.writer) == part.code_version}
    said = [decode_from(each.subject, each.payload) for each in read_dump(old_log)]
    written = [message.producer for message in said if not message.is_source and message.producer in theirs]
    assert report.verified == sum(producer in same for producer in written)
    assert report.other_code == sum(producer not in same for producer in written)


@pytest.fixture
def new_log(old_log: Path, tmp_path: Path) -> tuple[Path, int]:
    """The same with one event more, a halt in words of a release that is yet to come; and where it stands."""
    entries = list(read_dump(old_log))
    seq = entries[-1].seq + 1
    halt = TradingStateChanged(
        state="HALTED", previous="ACTIVE", reason="said anew", author="ops", producer="risk", id="1" * 32
    )
    payload = encode(halt).replace(b"trading_state_changed.v1", b"trading_state_changed.v9")
    path = tmp_path / "new.jsonl"
    path.write_bytes(b"".join(map(line_of, [*entries, LogEntry(seq, subject_of(halt), payload)])))
    return path, seq


@pytest.mark.parametrize("whose", ["previous", "this"])
def test_an_event_of_a_later_version_is_no_event_and_is_told(whose: str, new_log: tuple[Path, int]) -> None:
    """Neither release takes it for the version it knows: whoever should have heard it says what he refuses (an event and an alert each), and a replay counts it."""
    path, _ = new_log
    tree = previous_tree() if whose == "previous" else ROOT
    report = replayed_by(tree, path)
    assert report["undecodable"] == 1
    hearers = sum(any(subject_matches(each, "risk.state") for each in part.contract.filters) for part in parts())
    before = replayed_by(tree, shortened(path))
    assert report["unpublished"] - before["unpublished"] == 2 * hearers
    assert hearers >= 2


def shortened(path: Path) -> Path:
    """The same dump without its last entry."""
    lines = path.read_bytes().splitlines(keepends=True)
    shorter = path.with_name("shorter.jsonl")
    shorter.write_bytes(b"".join(lines[:-1]))
    return shorter


def replayed_by(tree: Path, path: Path) -> dict[str, Any]:
    """What `bulkhead replay` of that code says of a dump."""
    done = run_by(tree, "-m", "services.cli", "replay", "--json", "--from-file", str(path))
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
