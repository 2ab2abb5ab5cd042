"""`bulkhead graduate --baseline-out` and `bulkhead watch`: what a book has shown, and what it is held against."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from libs.common.codec import encode
from libs.common.messages import Baseline, Message
from libs.common.subjects import subject_of
from libs.common.timeframe import DAY
from libs.research.paper_days import PaperDay
from libs.runtime.adapter import LogEntry
from libs.trading.baseline import BaselineFold
from services.cli.app import app
from services.cli.baseline import baseline_of, declaration, read_baseline, watch_of
from services.cli.exit_codes import BAD_DUMP, CANNOT_WRITE, NOT_YET, OK, USAGE, Failure
from services.cli.log_lines import line_of
from tests.recorded_log import messages_of, recorded_log
from tests.unit.research.test_graduation import position

LOG = recorded_log(2)


def written(path: Path, entries: Sequence[LogEntry]) -> Path:
    path.write_bytes(b"".join(line_of(entry) for entry in entries))
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def entry(seq: int, message: Message, done_in_seq: int = 0) -> LogEntry:
    said = msgspec.structs.replace(message, id=f"{seq:032x}", done_in_seq=done_in_seq)
    return LogEntry(seq, subject_of(said), encode(said))


def test_what_a_book_has_shown_becomes_a_file_and_a_field(tmp_path: Path) -> None:
    """The file is what the JSON says; it is what a fold over the log comes to, and can be read again."""
    out = tmp_path / "baseline.json"
    answer = run("graduate", "--from-file", written(tmp_path / "log", LOG), "--baseline-out", out, "--json")
    assert answer.exit_code == NOT_YET
    told = json.loads(answer.stdout)
    fold = BaselineFold()
    for _, message in messages_of(LOG):
        fold.take(message)
    found = read_baseline(out)
    assert found.metrics == fold.baseline("").metrics
    assert len(found.metrics) >= 4
    assert msgspec.convert(told["baseline"], Baseline) == found
    assert told["watch"] == ["no baseline is declared"]
    assert "its whole log; no day counts" in found.source


def test_only_days_that_count_make_a_baseline_where_any_does() -> None:
    """A day of an accelerated clock has latencies of nobody's."""
    trips = [position(ts, qty) for ts, qty in ((1, "1"), (2, "0"), (DAY + 1, "1"), (DAY + 2, "0"), (DAY + 3, "1"))]
    log = [entry(seq, each) for seq, each in enumerate(trips, 1)]
    days = [PaperDay(day=date(1970, 1, number), live_s=1, trades=1, counts=number == 2, reason="") for number in (1, 2)]
    assert [each.count for each in baseline_of(log, []).metrics] == [2, 2]
    counted = baseline_of(log, days)
    assert [each.count for each in counted.metrics] == [1, 1]
    assert counted.from_ts == DAY + 2
    assert counted.source.endswith("1 counted days")


def test_the_watch_is_read_from_a_dump(tmp_path: Path) -> None:
    """One line a metric: how it stands, and how many samples there were."""
    said = declaration("ops.cli", baseline_of(LOG, []), "eva", 1)
    dump = written(tmp_path / "log", [*LOG, entry(LOG[-1].seq + 1, said)])
    answer = run("watch", "--from-file", dump)
    assert answer.exit_code == OK
    assert answer.stdout.startswith("held against book sim (paper)")
    assert "return of a round trip: not watched, its baseline has" in answer.stdout
    as_json = json.loads(run("watch", "--from-file", dump, "--json").stdout)
    assert as_json["metrics"]["latency"]["seen"] == 0
    assert run("watch", "--from-file", written(tmp_path / "bare", LOG)).stdout == "no baseline is declared\n"


def test_a_position_the_ledger_knew_of_when_it_heard_of_the_baseline_is_none_of_the_watchs() -> None:
    """Its word may stand behind the declaration in the log, though it follows from an event before it."""
    said = declaration("ops.cli", baseline_of(LOG, []), "eva", 1)
    late = [entry(8, position(1, "1"), done_in_seq=5), entry(9, position(2, "0"), done_in_seq=7)]
    seen = [watch_of([entry(6, said), *late]), watch_of([entry(4, said), *late])]
    assert [each.measuring.totals.keys() for each in seen if each] == [{"BTC-USDT"}] * 2
    trips = [watch_of([entry(seq, said), late[0]]) for seq in (6, 4)]
    assert [each.measuring.trips["BTC-USDT"].whole for each in trips if each] == [False, True]


NO_SAMPLE = '{"source":"x","from_ts":0,"until_ts":0,"metrics":[]}'


@pytest.mark.parametrize(
    "text", ["", "{}", NO_SAMPLE, '{"source":"x","from_ts":0,"until_ts":0,"metrics":[{"metric":"luck"}]}']
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    """It says so before anything is declared."""
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(Failure, match="is no baseline") as refused:
        read_baseline(path)
    assert refused.value.code == USAGE


def test_words_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    """A dump cannot be held against anything, and one book has one baseline."""
    assert run("watch", "--end", "--from-file", tmp_path / "log").exit_code == USAGE
    assert run("watch", "--end", "--against", tmp_path / "b").exit_code == USAGE
    assert run("watch", "--from-file", tmp_path / "log").exit_code == BAD_DUMP
    missing = tmp_path / "no" / "such"
    dump = written(tmp_path / "log", LOG)
    assert run("graduate", "--from-file", dump, "--baseline-out", missing).exit_code == CANNOT_WRITE
