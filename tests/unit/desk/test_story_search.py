"""A story looked up in the index is the story that reading the whole log tells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from libs.desk.index import LogIndex, Wanted
from libs.desk.story import Story, tell
from libs.desk.story_search import Ambiguous, NothingCalled, find_story
from libs.desk.story_target import LATEST, Target, decoded, names_in, newest, resolve
from libs.runtime.adapter import LogEntry
from tests.recorded_log import recorded_log
from tests.simulation.plans import HARSH

LOGS = {"calm": recorded_log(2), "stormy": recorded_log(1, HARSH)}


class Shelf:
    """A log in memory, read as the bus reads one."""

    def __init__(self, log: Sequence[LogEntry]):
        self._log = {entry.seq: entry for entry in log}

    async def entry_at(self, seq: int) -> LogEntry | None:
        return self._log.get(seq)

    async def first_on(self, subject_filter: str, from_seq: int) -> LogEntry | None:
        later = (entry for seq, entry in sorted(self._log.items()) if seq >= from_seq)
        return next((entry for entry in later if entry.subject == subject_filter), None)


@pytest.fixture(scope="module", params=LOGS)
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    log = LOGS[request.param]
    index = LogIndex(tmp_path_factory.mktemp("index") / "log.db")
    index.begin("TRADING_0001")
    for start in range(0, len(log), 100):
        index.add([(entry, decoded(entry)) for entry in log[start : start + 100]])
    yield log, index
    index.close()


def orders_life(log: Sequence[LogEntry]) -> list[Target]:
    said = [message for entry in log if (message := decoded(entry)) is not None]
    return sorted({each for message in said for each in names_in(message) if each.id})


async def told(log: Sequence[LogEntry], index: LogIndex, wanted: str) -> Story:
    return await find_story(index, Shelf(log), wanted)


async def test_every_order_trade_and_intent_has_the_same_story(desk) -> None:
    """Whatever an order's life names, both ways tell the same events with the same relations."""
    log, index = desk
    for target in orders_life(log):
        assert await told(log, index, target.key) == tell(log, target), target.key


async def test_every_story_and_every_hundredth_message_is_told_alike(desk) -> None:
    """Whole stories by their correlation, and single messages with what led to them and what followed."""
    log, index = desk
    said = [m for entry in log if (m := decoded(entry)) is not None and not entry.subject.startswith("feed.")]
    stories = sorted({m.correlation_id for m in said if m.correlation_id})[:60]
    for target in [Target("correlation", each) for each in stories] + [Target("message", m.id) for m in said[::100]]:
        found = await told(log, index, target.key)
        assert found.events == tell(log, target).events, target.key


async def test_the_beginning_of_an_id_finds_it(desk) -> None:
    """Eight characters do, as on the command line, and mean the same thing there."""
    log, index = desk
    target = newest(log)[0]
    assert resolve(log, target.id[:10]) == [target]
    assert (await told(log, index, target.id[:10])).target == target
    assert (await told(log, index, LATEST)).target == target


async def test_what_nobody_is_called_is_said(desk) -> None:
    """Neither an unknown id, nor too short a beginning, nor something hostile finds anything."""
    log, index = desk
    for wanted in ("0" * 32, "ab", "", "%", "order:' OR 1=1 --", "exec:BTC-USDT:%", "\x00" * 9):
        with pytest.raises(NothingCalled):
            await told(log, index, wanted)


async def test_a_number_of_two_orders_is_asked_back(tmp_path: Path) -> None:
    """A venue numbers orders for each instrument: the same number may be two orders."""
    log = LOGS["calm"]
    index = LogIndex(tmp_path / "log.db")
    index.begin("TRADING_0001")
    index.add([(entry, decoded(entry)) for entry in log])
    numbers = [each for each in orders_life(log) if each.kind == "venue-order"]
    doubled = {each.id for each in numbers if sum(other.id == each.id for other in numbers) > 1}
    if not doubled:
        pytest.skip("no number names two orders in this log")
    with pytest.raises(Ambiguous):
        await told(log, index, sorted(doubled)[0])


def test_pages_go_through_all_of_it_once(desk) -> None:
    """Page by page from the newest back, every event on record is seen once; prices are not on record."""
    log, index = desk
    seen, before = [], 0
    while page := index.page(Wanted(before_seq=before), 97):
        seen += [row.seq for row in page]
        before = page[-1].seq
    wanted = [entry.seq for entry in log if not entry.subject.startswith(("feed.marks", "feed.history"))]
    assert seen == sorted(wanted, reverse=True)
    assert index.position == log[-1].seq


def test_fills_of_one_instrument_are_found_by_their_role(desk) -> None:
    """A filter by role and instrument finds what a search by hand finds."""
    log, index = desk
    fills = [entry.seq for entry in log if b'"exec_type":"TRADE"' in entry.payload and b"BTC-USDT" in entry.payload]
    found = index.page(Wanted(roles=("fill",), instrument="BTC-USDT"), 1_000, newest_first=False)
    assert [row.seq for row in found] == fills


def test_a_broken_file_is_made_anew(tmp_path: Path) -> None:
    """It holds nothing that the log does not hold: a file that is no database costs the time to read again, no more."""
    path = tmp_path / "log.db"
    path.write_bytes(b"not a database at all" * 100)
    index = LogIndex(path)
    index.begin("TRADING_0001")
    assert index.position == 0


def test_another_log_is_another_index(tmp_path: Path) -> None:
    """An index of one stream says nothing of another."""
    index = LogIndex(tmp_path / "log.db")
    index.begin("TRADING_0001")
    index.add([(entry, decoded(entry)) for entry in LOGS["calm"][:50]])
    index.begin("TRADING_0001")
    assert index.position == LOGS["calm"][49].seq
    index.begin("TRADING_0002")
    assert (index.position, index.count()) == (0, 0)
