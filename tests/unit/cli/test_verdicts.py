"""Why the gate decided as it did: verdicts found in a log, and the room their checks leave."""

from __future__ import annotations

import json
from decimal import Decimal as D
from pathlib import Path

import pytest
from typer.testing import CliRunner

from libs.common.messages import Check, OrderApproved, OrderDenied
from libs.desk.verdicts import headroom_of, measured, newest_verdicts, room_in_words, share_left, verdicts_on
from services.cli.app import app
from services.cli.log_lines import line_of
from tests.recorded_log import messages_of, recorded_log

LOG = recorded_log(2)
VERDICTS = [each for _, each in messages_of(LOG) if isinstance(each, OrderApproved | OrderDenied)]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """The recorded log as a file."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line_of(entry) for entry in LOG))
    return path


@pytest.mark.parametrize(
    ("value", "limit", "room"),
    [
        ("1200", "2000", "800"),
        ("2400", "2000", "-400"),
        ("0.16", "less than 0.10", "-0.06"),
        ("12.5", "at least 10", "2.5"),
        ("0.3501 (BTC-USDT ETH-USDT)", "0.35", "-0.0001"),
        ("4000 ms", "at least 5000 ms apart", "-1000"),
        ("58800", "below 60000", "1200"),
        ("4", "less than 5, or 86400000 ms of rest", "1"),
    ],
)
def test_the_room_a_check_leaves(value: str, limit: str, room: str) -> None:
    """Below zero it says how far the value is beyond the limit."""
    assert headroom_of(Check(code="X", passed=True, value=value, limit=limit)) == D(room)


@pytest.mark.parametrize(
    ("value", "limit"), [("LIVE", "LIVE"), ("missing", "5"), ("12", "exempt"), ("1/s 3/min", "5/s 60/min")]
)
def test_what_is_no_number_has_no_room(value: str, limit: str) -> None:
    """Words, missing values and exemptions leave none."""
    assert headroom_of(Check(code="X", passed=True, value=value, limit=limit)) is None


def test_a_verdict_is_found_by_its_intent() -> None:
    """By the whole id, by its beginning, and the newest one by name; a few letters are not enough."""
    wanted = VERDICTS[0].intent_id
    assert [each.said for each in verdicts_on(LOG, wanted)] == [each for each in VERDICTS if each.intent_id == wanted]
    assert verdicts_on(LOG, wanted[:8])[0].said.intent_id[:8] == wanted[:8]
    assert verdicts_on(LOG, wanted[:4]) == []
    assert verdicts_on(LOG, "latest") == newest_verdicts(LOG)[:1]


@pytest.mark.parametrize(
    ("value", "limit", "share"),
    [
        ("75", "100", 0.25),
        ("125 ms", "at least 100 ms", 0.2),
        ("0", "less than 0.06", 1),
        ("12", "10", -0.2),
        ("0", "0", 1),
        ("1", "0", -1),
        ("fine", "100", 1),
    ],
)
def test_the_tightest_limit_has_the_smallest_share_left(value: str, limit: str, share: float) -> None:
    """A limit of nothing that is met is not tight: there is nothing to come nearer with."""
    assert share_left(Check(code="X", passed=True, value=value, limit=limit)) == pytest.approx(share)


@pytest.mark.parametrize(
    ("code", "text", "shown"),
    [
        ("STALE_INTENT", "1767571440952453240", "00:04:00.952"),
        ("STALE_PRICE", "0", "0 ms"),
        ("RECONCILED_AGE", "39639.62404", "39639.62404 ms"),
        ("SPREAD", "0.5070672497935427", "0.507067"),
        ("MAX_ORDER_VALUE", "2500", "2500"),
        ("STOP_DISTANCE", "1.57774..631.096", "1.57774..631.096"),
    ],
)
def test_a_number_is_shown_as_people_read_it(code: str, text: str, shown: str) -> None:
    """Moments as times, ages with their unit, nothing rounded that counts."""
    assert measured(code, text) == shown


def test_the_room_before_an_intent_is_too_old_is_a_time(dump: Path) -> None:
    """Nobody reads nanoseconds."""
    check = Check(code="STALE_INTENT", passed=True, value="1767571440952453240", limit="1767571500952453240")
    assert room_in_words(check) == "60000 ms"
    shown = CliRunner().invoke(app, ["risk", "explain", "latest", "--from-file", str(dump)]).output
    (line,) = (line for line in shown.splitlines() if line.startswith("STALE_INTENT"))
    assert ":" in line.split()[2]
    assert line.rstrip().endswith(" ms")


def test_headroom_is_told_with_the_tightest_limit_first(dump: Path) -> None:
    """As its help says."""
    lines = CliRunner().invoke(app, ["risk", "headroom", "--from-file", str(dump)]).output.splitlines()
    checks = {check.code: check for check in newest_verdicts(LOG)[0].said.checks}
    codes = [line.split()[0] for line in lines if line.split()[0] in checks][: len(checks)]
    first = codes[: len(set(codes))]
    shares = [share_left(checks[code]) for code in first]
    assert shares == sorted(shares)
    assert len(set(shares)) > 3


def test_headroom_is_about_the_newest_entry_of_each_instrument() -> None:
    """Exits are exempt from most limits, and say nothing about room."""
    found = newest_verdicts(LOG)
    assert len({each.said.instrument for each in found}) == len(found) > 0
    assert [each.seq for each in found] == sorted((each.seq for each in found), reverse=True)
    assert not any(
        check.limit == "exempt" for each in found for check in each.said.checks if check.code != "REDUCE_ONLY"
    )


@pytest.mark.parametrize("words", [["explain", "latest"], ["headroom"]])
def test_a_dump_explains_its_verdicts(dump: Path, words: list[str]) -> None:
    """As a table for people, and as JSON with every check and its room."""
    shown = CliRunner().invoke(app, ["risk", *words, "--from-file", str(dump)])
    assert shown.exit_code == 0
    assert "MAX_POSITION" in shown.output
    told = json.loads(CliRunner().invoke(app, ["risk", *words, "--from-file", str(dump), "--json"]).output)
    (check,) = (each for each in told[0]["checks"] if each["code"] == "MAX_POSITION")
    assert D(check["headroom"]) == D(check["limit"]) - D(check["value"])


def test_an_intent_nobody_knows_is_a_finding(dump: Path) -> None:
    """With what to do about it."""
    shown = CliRunner().invoke(app, ["risk", "explain", "nosuchintent", "--from-file", str(dump)])
    assert shown.exit_code == 1
