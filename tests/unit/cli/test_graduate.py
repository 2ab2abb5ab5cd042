"""`bulkhead graduate`: the certificate it writes, and when it writes none."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from libs.common.codec import encode
from libs.common.messages import GenesisDeclared, JournalPosted, Message, ServiceStarted
from libs.common.subjects import subject_of
from libs.common.timeframe import HOUR
from libs.research.certificate import read, settings_digest
from libs.runtime.adapter import LogEntry
from libs.runtime.registry import parts, version_at_hand
from services.cli.app import app
from services.cli.certify import in_force, judge, same_code, same_settings
from services.cli.exit_codes import BAD_DUMP, CANNOT_WRITE, FINDING, NOT_YET, OK, USAGE
from services.cli.log_lines import line_of
from services.cli.readiness import readiness

T0 = 20_700 * 24 * HOUR
WORDS = ("--override", "--operator", "Ada", "--reason", "a small account")


def begun(mode: str = "paper", ts: int = T0) -> list[Message]:
    """The first words of a book that this very code runs."""
    genesis = GenesisDeclared(producer="ops.cli", ts_init=ts, book="main", mode=mode, author="a test")  # type: ignore[arg-type]
    return [genesis, *(started(part.contract.writer, part.code_version, ts) for part in parts())]


def started(writer: str, version: str, ts: int = T0) -> ServiceStarted:
    settings = {"halt": "0.15"} if writer == "risk" else {}
    return ServiceStarted(
        producer=writer, ts_init=ts, instance="up", code_version=version, settings=settings, state_digest=""
    )


def dumped(path: Path, messages: list[Message]) -> Path:
    """A dump of a log of these events."""
    entries = [LogEntry(seq, subject_of(each), encode(each)) for seq, each in enumerate(messages, 1)]
    path.write_bytes(b"".join(line_of(each) for each in entries))
    return path


def graduate(folder: Path, *words: str, log: list[Message] | None = None) -> tuple[int, str]:
    """Exit code and output of the command on a log, with a state folder that nobody has used."""
    dump = dumped(folder / "log.dump", begun() if log is None else log)
    said = CliRunner().invoke(app, ["graduate", "--from-file", str(dump), "--home", str(folder / "home"), *words])
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    return said.exit_code, said.output


def test_nothing_is_written_while_something_is_missing(tmp_path: Path) -> None:
    """What is missing is named, and how it may be overridden."""
    code, said = graduate(tmp_path, "--out", str(tmp_path / "c.json"))
    assert code == NOT_YET
    assert "no certificate, because this was not shown" in said
    assert "trades: 0 round trips, 0 fills (asked: at least 30 round trips on them)" in said
    assert "days: 0 days count (asked: at least 14 days of paper trading" in said
    assert "--override --operator NAME --reason TEXT" in said
    assert not (tmp_path / "c.json").exists()


def test_an_override_is_on_record_with_exactly_what_was_not_shown(tmp_path: Path) -> None:
    """Whose, why, without what; for which book, on which log, of which code, with which strategy."""
    out = tmp_path / "c.json"
    code, said = graduate(tmp_path, "--out", str(out), *WORDS, "--json")
    assert code == OK
    answer, found = json.loads(said), read(out.read_bytes())
    assert found.override is not None
    assert (found.override.operator, found.override.reason) == ("Ada", "a small account")
    rows = [*answer["criteria"], *answer["readiness"]]
    wanted = [f"{each['name']}: {each['seen']} (asked: {each['asked']})" for each in rows if not each["met"]]
    assert list(found.override.unmet) == wanted
    assert {"days", "trades"} <= {line.partition(":")[0] for line in wanted}
    assert (found.book, found.code_version, found.days) == ("main", version_at_hand(), ())
    assert found.baseline.metrics == ()  # the book never traded
    assert (found.log.first_seq, found.log.last_seq, found.log.journal_head) == (1, 1 + len(parts()), ":0")
    assert found.strategy["risk"].settings == settings_digest({"halt": "0.15"})
    assert "ledger" not in found.strategy
    assert answer["certificate"]["digest"] == found.digest


@pytest.mark.parametrize(
    ("page", "is_met"),
    [
        ("Verdict: PASS\n\nMade on 2026-11-27 12:00 UTC of commit `0123456789ab`. 2 of 2\n", True),
        ("Verdict: FAIL\n\nMade on 2026-11-27 12:00 UTC of commit `0123456789ab`. 1 of 2\n", False),
        ("Verdict: PASS\n", False),
        ("", False),
        (None, False),
    ],
)
def test_an_audit_is_proof_by_its_verdict(tmp_path: Path, page: str | None, is_met: bool) -> None:
    """A page alone is none: it says that everything held, and of which commit."""
    (tmp_path / "docs").mkdir()
    if page is not None:
        (tmp_path / "docs" / "security-audit.md").write_text(page)
    found = next(each for each in readiness(14, 14, tmp_path) if each.name == "security audit")
    assert found.met is is_met
    assert ("of commit `0123456789ab`" in found.evidence) is is_met
    assert is_met or found.evidence.startswith("there is none")


def test_the_text_says_what_it_unlocks_and_what_an_override_costs(tmp_path: Path) -> None:
    """Before there is a certificate, and once there is one."""
    code, said = graduate(tmp_path)
    assert code == NOT_YET
    assert "Live trading stays locked." in said
    assert "bulkhead up --mode live --certificate certificate.json" in said
    assert "What that costs: name, reason and every line that says no" in said
    code, said = graduate(tmp_path, "--out", str(tmp_path / "c.json"), *WORDS)
    assert "It is an override by Ada: a small account." in said
    assert "lets the book main start live trading with this code until" in said


@pytest.mark.parametrize(
    "words",
    [
        WORDS,
        ("--out", "c.json", "--override", "--operator", "Ada"),
        ("--out", "c.json", "--override", "--reason", "a small account"),
        ("--out", "c.json", "--override", "--operator", " ", "--reason", "x"),
        ("--out", "c.json", "--operator", "Ada"),
    ],
)
def test_half_an_override_is_none(tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Name and reason, and a file to stand in; a name without an override is a slip."""
    monkeypatch.chdir(tmp_path)
    assert graduate(tmp_path, *words)[0] == USAGE
    assert not (tmp_path / "c.json").exists()


def test_no_certificate_is_overwritten(tmp_path: Path) -> None:
    """It may be what a running book was unlocked by."""
    out = tmp_path / "c.json"
    out.write_text("mine")
    assert graduate(tmp_path, "--out", str(out), *WORDS)[0] == CANNOT_WRITE
    assert out.read_text() == "mine"


@pytest.mark.parametrize("log", [begun("sim"), begun("live"), begun()[1:]], ids=["sim", "live", "no beginning"])
def test_only_a_paper_book_unlocks_anything(tmp_path: Path, log: list[Message]) -> None:
    """Not even by an override: there is nothing to say about a log of another kind."""
    code, said = graduate(tmp_path, "--out", str(tmp_path / "c.json"), *WORDS, log=log)
    assert code == BAD_DUMP
    assert "only a paper book can unlock live trading" in said


def test_a_log_whose_books_are_not_what_was_booked_unlocks_nothing(tmp_path: Path) -> None:
    """Whoever edited one entry may have edited others."""
    entry = JournalPosted(
        producer="ledger",
        ts_init=T0 + 2,
        entry_id="1",
        kind="OPENING",
        source_id="1",
        instrument="",
        postings=(),
        memo="",
        number=1,
        previous="",
        digest="5f" * 32,
    )
    code, said = graduate(tmp_path, "--out", str(tmp_path / "c.json"), *WORDS, log=[*begun(), entry])
    assert code == FINDING
    assert "bulkhead ledger verify" in said


def test_paper_trading_by_other_code_is_told_as_a_criterion_that_is_not_met() -> None:
    """So that it can only be overridden by name; both versions are told."""
    here = {part.contract.writer: [started(part.contract.writer, part.code_version)] for part in parts()}
    assert same_code(here).met
    found = same_code({**here, "risk": [started("risk", "0ld")], "agent.mine": [started("agent.mine", "1")]})
    version = here["risk"][0].code_version
    assert (found.name, found.met) == ("code", False)
    assert found.seen == f"risk ran 0ld, at hand is {version}; agent.mine ran and is not at hand"
    assert (
        f"risk ran 0ld, {version}, at hand" in same_code({**here, "risk": [started("risk", "0ld"), *here["risk"]]}).seen
    )
    del here["feed"]
    assert "feed ran never" in same_code(here).seen


def test_the_operators_doors_are_no_part_of_what_is_judged() -> None:
    """Another console changes nothing of what was traded: its starts are neither other code nor a machine that is not at hand."""
    log = [*begun(), started("ops.gateway", "0ld"), started("ops.telegram", "0ld")]
    found = judge([LogEntry(seq, subject_of(each), encode(each)) for seq, each in enumerate(log, 1)])
    (code,) = [each for each in found.criteria if each.name == "code"]
    assert code.met, code.seen


def test_a_restart_at_the_end_does_not_make_the_days_before_it_other_code() -> None:
    """What ran on a day that counts is asked about, and not only what ran last."""
    days = {date.fromtimestamp(0) + timedelta(days=20_700 + n) for n in range(14)}
    old, new = started("risk", "0ld"), started("risk", "new", T0 + 14 * 24 * HOUR)
    assert in_force([old, new], days) == [old, new]
    assert in_force([old, new], {max(days) + timedelta(days=1)}) == [old, new]  # it still ran when that day began
    assert in_force([old, started("risk", "between", T0 + HOUR), new], {max(days)})[0].code_version == "between"
    assert in_force([old, new], set()) == [new]


def test_settings_that_changed_under_way_are_not_one_record() -> None:
    """A book that risked two per cent for a fortnight says nothing about ninety."""
    calm = started("risk", "1")
    bold = msgspec.structs.replace(calm, settings={"halt": "0.90"})
    moved = msgspec.structs.replace(calm, producer="exec", settings={"venue_url": "https://a"})
    elsewhere = msgspec.structs.replace(moved, settings={"venue_url": "https://b"})
    assert same_settings({"risk": [calm, calm], "exec": [moved, elsewhere], "feed": [calm, bold]}).met
    found = same_settings({"risk": [calm, bold]})
    assert (found.met, found.seen) == (False, "risk had 2 different ones")
