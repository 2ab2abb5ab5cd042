"""What the watchman tells people: what lasts, once, as grave as it is, and that it is over once it is clearly better."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.alerts import CATALOGUE, alert_of
from libs.common.messages import EntryJudged
from libs.desk.services import ServiceLine
from libs.desk.watchman import GIB, HOUR_S, Look, ModelTally, Notice, Watchman, WatchMemory

GB = 1_000_000_000


def line(name: str = "risk-gate", **changed: Any) -> ServiceLine:
    """A service that is live, up to date and has nothing to do."""
    well: dict[str, Any] = {"name": name, "url": "", "up": True, "ready": True, "phase": "live", "quiescent": True}
    return ServiceLine(**{**well, **changed})


def silent(name: str = "risk-gate") -> ServiceLine:
    return line(name, up=False, ready=False, phase="does not answer")


def judged(failure: str = "") -> EntryJudged:
    return EntryJudged(
        proposal_id="p",
        instrument="BTC-USDT",
        outcome="FAILED" if failure else "JUDGED",
        failure=failure,
        expects="none",
        p=0.5,
        evidence=(),
        why="",
        flags=(),
        case_id="",
        key="",
        model="",
    )


class Watch:
    """A watchman and his clock. After every look his memory goes through JSON, so every test is also a test of a restart."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.man = Watchman()

    def sees(self, *services: ServiceLine, for_s: int = 0, **seen: Any) -> list[Notice]:
        """The same sight for so many seconds, a look each second; everything told."""
        told: list[Notice] = []
        for _ in range(for_s + 1):
            told += self.man.look(Look(now_s=self.now_s, services=services, **seen))
            raw = msgspec.json.encode(self.man.memory)
            self.man = Watchman(self.man.limits, msgspec.json.decode(raw, type=WatchMemory))
            self.now_s += 1.0
        return told


def of(notices: list[Notice]) -> list[tuple[str, str]]:
    return [(each.code, each.severity) for each in notices]


def test_a_service_that_does_not_answer_pages_after_a_quarter_of_a_minute() -> None:
    """Not for a restart of some seconds, once, and it is over after it has been well for as long."""
    watch = Watch()
    assert watch.sees(line(), for_s=60) == []
    assert watch.sees(silent(), for_s=10) == []
    assert watch.sees(line(), for_s=5) == []
    assert watch.sees(silent(), for_s=14) == []
    (page,) = watch.sees(silent(), for_s=600)
    assert (page.code, page.severity, page.text) == ("SERVICE_DOWN", "page", "risk-gate: does not answer")
    assert of(watch.sees(line(), for_s=14)) == []
    assert of(watch.sees(line(), for_s=600)) == [("SERVICE_DOWN_OVER", "note")]


def test_a_service_that_comes_and_goes_is_one_page() -> None:
    """Well for some seconds is not well."""
    watch = Watch()
    told = watch.sees(silent(), for_s=20)
    for _ in range(10):
        told += watch.sees(line(), for_s=5) + watch.sees(silent(), for_s=20)
    assert of(told) == [("SERVICE_DOWN", "page")]


def test_who_guards_no_money_waits_for_daytime() -> None:
    """Without an agent nothing is entered; that is no reason to wake anybody."""
    assert of(Watch().sees(silent("agent-trend"), for_s=20)) == [("SERVICE_DOWN", "ticket")]


def test_several_that_are_down_together_are_one_page() -> None:
    """Whoever is woken by a bus that is away does not need five pages."""
    watch = Watch()
    (page,) = watch.sees(silent("market-feed"), silent("ledger"), silent("notifier"), for_s=30)
    assert page.text == "market-feed: does not answer; ledger: does not answer; notifier: does not answer"
    (over,) = watch.sees(line("market-feed"), line("ledger"), line("notifier"), for_s=30)
    assert (over.code, over.text.count("works again")) == ("SERVICE_DOWN_OVER", 3)


def test_a_service_that_is_up_and_not_ready_has_longer() -> None:
    """A long log takes its time to be read; a standby is never ready, and nothing is wrong."""
    watch = Watch()
    assert watch.sees(line(ready=False, phase="recovering"), for_s=119) == []
    assert of(watch.sees(line(ready=False, phase="recovering"), for_s=5)) == [("SERVICE_DOWN", "page")]
    assert Watch().sees(line(ready=False, phase="standby: another instance holds the lease"), for_s=3_600) == []


@pytest.mark.parametrize("behind", [{"lag": 5_001}, {"outbox": 101}])
def test_a_service_that_falls_behind_for_a_minute_is_told(behind: dict[str, int]) -> None:
    """A burst is worked off; between half the limit and the limit it is as before."""
    watch = Watch()
    assert watch.sees(line(**behind), for_s=30) == watch.sees(line(), for_s=5) == []
    assert of(watch.sees(line(**behind), for_s=120)) == [("SERVICE_LAGS", "ticket")]
    assert watch.sees(line(lag=4_000), for_s=120) == []
    assert of(watch.sees(line(lag=2_000), for_s=120)) == [("SERVICE_LAGS_OVER", "note")]


def test_a_service_that_starts_again_and_again_is_told() -> None:
    """More than five starts in ten minutes; what was before the first look does not count, nor do starts over days."""
    watch = Watch()
    assert watch.sees(line(starts=50)) == []
    told = [each for count in range(51, 58) for each in watch.sees(line(starts=count), for_s=20)]
    assert of(told) == [("SERVICE_CRASH_LOOP", "page")]
    assert of(watch.sees(line(starts=57), for_s=700)) == [("SERVICE_CRASH_LOOP_OVER", "note")]
    slowly = Watch()
    assert [each for count in range(1, 10) for each in slowly.sees(line(starts=count), for_s=130)] == []
    assert of(Watch().sees(line("agent-macro", starts=1)) + Watch().sees(line(starts=9))) == []


def test_a_disk_that_fills_up_is_a_ticket_first_and_a_page_before_the_end() -> None:
    """Both a share and a size: a large disk with forty gigabytes left has room."""
    watch, small = Watch(), 50 * GB
    assert watch.sees(disk_free_bytes=6 * GB, disk_total_bytes=small, for_s=60) == []
    (ticket,) = watch.sees(disk_free_bytes=4 * GB, disk_total_bytes=small, for_s=60)
    assert (ticket.code, ticket.severity) == ("DISK_LOW", "ticket")
    assert ticket.text == "4 GB of 50 GB are free on the disk with the state folder"
    assert of(watch.sees(disk_free_bytes=GB, disk_total_bytes=small, for_s=60)) == [("DISK_FULL", "page")]
    assert watch.sees(disk_free_bytes=int(1.6 * GB), disk_total_bytes=small, for_s=60) == []
    over = watch.sees(disk_free_bytes=20 * GB, disk_total_bytes=small, for_s=60)
    assert of(over) == [("DISK_FULL_OVER", "note"), ("DISK_LOW_OVER", "note")]
    assert Watch().sees(disk_free_bytes=40 * GIB, disk_total_bytes=2_000 * GIB) == []


def test_a_store_that_fills_up_is_a_ticket_first_and_a_page_before_the_end() -> None:
    """At its limit nothing can be appended any more, and nothing is thrown away."""
    watch, most = Watch(), 20 * GB
    assert watch.sees(store_bytes=15 * GB, store_bytes_max=most, for_s=60) == []
    assert of(watch.sees(store_bytes=16 * GB, store_bytes_max=most, for_s=60)) == [("LOG_STORE_LOW", "ticket")]
    assert of(watch.sees(store_bytes=19 * GB, store_bytes_max=most, for_s=60)) == [("LOG_STORE_FULL", "page")]
    assert of(watch.sees(store_bytes=17 * GB, store_bytes_max=most, for_s=60)) == [("LOG_STORE_FULL_OVER", "note")]


@pytest.mark.parametrize("behind", [{"database_events": 50_001}, {"database_s": 61.0}])
def test_a_database_far_behind_the_log_is_told(behind: dict[str, Any]) -> None:
    """By events or by time, for half a minute."""
    watch = Watch()
    assert watch.sees(**behind, for_s=29) == []
    assert of(watch.sees(**behind, for_s=60)) == [("DATABASE_LAGS", "ticket")]
    assert of(watch.sees(database_events=10, database_s=0.5, for_s=60)) == [("DATABASE_LAGS_OVER", "note")]


def test_a_clock_that_is_off_is_told_by_whose_it_is_compared_with() -> None:
    """Ahead or behind, for half a minute; one odd measurement is none."""
    watch = Watch()
    assert watch.sees(clock_offsets_ms={"the log server": 3_000.0}) == []
    assert watch.sees(clock_offsets_ms={"the log server": 3.0}, for_s=60) == []
    (ticket,) = watch.sees(clock_offsets_ms={"the log server": 3.0, "binance": -620.0}, for_s=60)
    assert (ticket.code, ticket.text) == ("CLOCK_OFFSET", "our clock is 620 ms behind binance's")
    assert of(watch.sees(clock_offsets_ms={"binance": -40.0}, for_s=60)) == [("CLOCK_OFFSET_OVER", "note")]


def test_tokens_that_cannot_be_believed_are_told() -> None:
    """Not while the file is being edited, and nothing where nobody has looked."""
    watch = Watch()
    assert watch.sees(for_s=10) == watch.sees(are_tokens_believed=False, for_s=3) == []
    assert watch.sees(are_tokens_believed=True, for_s=60) == []
    assert of(watch.sees(are_tokens_believed=False, for_s=60)) == [("TOKENS_UNREADABLE", "ticket")]
    assert of(watch.sees(are_tokens_believed=True, for_s=60)) == [("TOKENS_UNREADABLE_OVER", "note")]


def test_a_backup_that_is_too_old_is_told() -> None:
    """A day and two hours; where no backup is made nothing is said."""
    watch = Watch()
    assert watch.sees(for_s=10) == watch.sees(backup_age_s=25 * HOUR_S) == []
    (ticket,) = watch.sees(backup_age_s=27 * HOUR_S, for_s=60)
    assert (ticket.code, ticket.severity, ticket.text) == ("BACKUP_OLD", "ticket", "the last backup is 27 h old")
    assert of(watch.sees(backup_age_s=60.0, for_s=60)) == [("BACKUP_OLD_OVER", "note")]


def test_backups_that_nobody_has_seen_come_back_are_told() -> None:
    """After a month and some days; where none was ever drilled nothing is said."""
    watch = Watch()
    assert watch.sees(for_s=10) == watch.sees(restore_proven_s=34 * 24 * HOUR_S) == []
    (ticket,) = watch.sees(restore_proven_s=36 * 24 * HOUR_S, for_s=60)
    assert (ticket.code, ticket.severity) == ("RESTORE_UNPROVEN", "ticket")
    assert ticket.text == "no backup has been seen to come back for 36 days"
    assert of(watch.sees(restore_proven_s=60.0, for_s=60)) == [("RESTORE_UNPROVEN_OVER", "note")]


def asked(watch: Watch, tally: ModelTally, *failures: str) -> list[Notice]:
    """A question each minute, answered or failed."""
    told = []
    for failure in failures:
        tally.hear(judged(failure))
        told += watch.sees(model=tally, for_s=59)
    return told


def test_a_model_that_fails_every_second_time_is_told_although_it_never_fails_in_a_row() -> None:
    """What the model agent tells by failures in a row would never be told."""
    watch, tally = Watch(), ModelTally()
    watch.sees(model=tally)
    assert of(asked(watch, tally, *["timeout", ""] * 10)) == [("MODEL_FAILURE_RATE", "ticket")]
    assert of(asked(watch, tally, *[""] * 60)) == [("MODEL_FAILURE_RATE_OVER", "note")]


def test_few_failures_or_few_questions_are_no_rate() -> None:
    """One in five, and three of three; and where nobody was asked, nothing failed."""
    watch, tally = Watch(), ModelTally()
    watch.sees(model=tally)
    assert asked(watch, tally, *["timeout", "", "", "", ""] * 6) == []
    few = ModelTally()
    other = Watch()
    other.sees(model=few)
    assert asked(other, few, "timeout", "timeout", "timeout") == []
    none = ModelTally()
    for failure in ("not_configured", "budget"):
        none.hear(judged(failure))
    assert (none.asked, none.failed) == (0, 0)


def test_counts_that_begin_anew_are_not_taken_for_answers() -> None:
    """A caller that restarts counts from nothing; what was counted before says nothing then."""
    watch, tally = Watch(), ModelTally(asked=500, failed=400)
    assert watch.sees(model=tally, for_s=10) == []
    assert watch.sees(model=ModelTally(asked=2, failed=0), for_s=10) == []


def test_what_is_not_known_is_neither_raised_nor_over() -> None:
    """A measurement that fails leaves everything as it was."""
    watch = Watch()
    assert of(watch.sees(disk_free_bytes=GB, disk_total_bytes=100 * GB)) == [
        ("DISK_FULL", "page"),
        ("DISK_LOW", "ticket"),
    ]
    assert watch.sees(for_s=600) == []
    assert watch.sees(disk_free_bytes=GB, disk_total_bytes=100 * GB, for_s=60) == []


def test_all_that_he_tells_is_in_the_catalogue() -> None:
    """Every code, and that it is over, with a severity the catalogue knows."""
    watch = Watch()
    bad: dict[str, Any] = {"disk_free_bytes": 1, "disk_total_bytes": GB, "store_bytes": GB, "store_bytes_max": GB}
    bad |= {"database_s": 1e6, "clock_offsets_ms": {"the venue": 1e6}, "backup_age_s": 1e9, "restore_proven_s": 1e9}
    good: dict[str, Any] = {"disk_free_bytes": GB, "disk_total_bytes": GB, "store_bytes": 0, "store_bytes_max": GB}
    good |= {"database_s": 0.0, "clock_offsets_ms": {"the venue": 0.0}, "backup_age_s": 0.0, "restore_proven_s": 0.0}
    told = watch.sees(silent(), line("ledger", lag=10_000), for_s=130, **bad)
    told += watch.sees(line(), line("ledger"), for_s=130, **good)
    assert len(told) == len({each.code for each in told}) == 20
    for each in told:
        known = alert_of(each.code)
        assert known is not None
        assert each.severity in known.severities
    ended = {each.ends for each in CATALOGUE if each.code in {notice.code for notice in told}} - {""}
    assert ended == {each.code for each in told if not each.code.endswith("_OVER")}
