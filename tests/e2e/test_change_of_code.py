"""Other code than last time goes on with a log: what is copied before that, what is refused, and what a person may waive."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client
from sqlalchemy import URL, Engine

from libs.common.codec import BadEvent, decode_from, encode
from libs.common.messages import EventRejected, TradingStateChanged
from libs.runtime.adapter import LogEntry
from libs.runtime.nats_config import ADMIN_USER, connect_options
from libs.runtime.provision import roll_over
from libs.runtime.registry import contracts
from services.cli.backup.archive import read_manifest
from services.cli.backup.holding import own_bus
from services.cli.change import FOLDER
from services.cli.exit_codes import CANNOT_WRITE, CONFIG, UNAVAILABLE, Failure
from services.cli.observer import observing
from services.cli.stretches import (
    RESTORED,
    UNRECORDED,
    Stretch,
    doubtful_from,
    ours,
    read_stretches,
    types_known,
    unknown_in,
    write_stretches,
)
from services.ledger.adapters.database import migrate, newest_revision, open_engine, revision_of
from tests.e2e.stack_stand import Stack
from tests.e2e.test_cli import answer_of

NEWER = "trading_state_changed.v9"


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)


async def started_and_stopped(home: Path, services: tuple[str, ...] = ("risk-gate",), **settings: object) -> str:
    """What a stack has shown from its start to its end."""
    stack = Stack(home, services, **settings)
    try:
        await stack.until(lambda: stack.shows("services are live"), 60)
        await stack.stop()
    finally:
        await stack.abandon()
    return stack.screen.getvalue()


def as_if_by(home: Path, *types: str) -> None:
    """The state folder remembers that other code wrote its log, which knew these types as well."""
    mine = read_stretches(home)[-1]
    other = Stretch(since=mine.since, version="9.9.9", tree="0" * 16, types=(*mine.types, *types))
    write_stretches(home, [other])


async def append(home: Path, payload: bytes) -> int:
    """Put an event on the gate's subject, as a later release of it would; returns where it stands."""
    client = Client()
    async with own_bus(home) as place:
        await client.connect(**connect_options(home, ADMIN_USER, place.nats_url))
        reply = await client.request("risk.state", payload, timeout=5)
        await client.close()
    return int(msgspec.json.decode(reply.data)["seq"])


def said_in_new_words() -> bytes:
    """A halt as the next release might say it."""
    halt = TradingStateChanged(
        state="HALTED", previous="ACTIVE", reason="said anew", author="ops", producer="risk", id="1" * 32
    )
    return encode(halt).replace(b"trading_state_changed.v1", NEWER.encode())


async def test_a_change_of_code_is_preceded_by_a_copy_and_the_same_code_by_none(tmp_path: Path) -> None:
    """The first start and the second copy nothing; other code's log is copied to its end before anything is started."""
    home = tmp_path / "home"
    for _ in range(2):
        assert "backup before" not in await started_and_stopped(home)
    assert [each.tree for each in read_stretches(home)] == [ours(0).tree]
    as_if_by(home)
    shown = await started_and_stopped(home)
    assert "this log was written by 9.9.9 (00000000) so far" in shown
    manifest = read_manifest(home / FOLDER)
    assert f"holds the log up to event {manifest.last_seq}" in shown
    before, now = read_stretches(home)
    assert (before.version, now.tree, now.since) == ("9.9.9", ours(0).tree, manifest.last_seq + 1)


async def test_a_log_that_has_gone_on_in_another_epoch_is_as_long_as_all_of_it(tmp_path: Path) -> None:
    """What other code goes on from is the end of the newest epoch, and it is copied to there; the whole log is as long as it was."""
    home = tmp_path / "home"
    await started_and_stopped(home)
    async with own_bus(home) as place:
        client = Client()
        await client.connect(**connect_options(home, ADMIN_USER, place.nats_url))
        await roll_over(client, contracts())
        await client.close()
    await append(home, said_in_new_words().replace(NEWER.encode(), b"trading_state_changed.v1"))
    as_if_by(home)
    await started_and_stopped(home)
    manifest, now = read_manifest(home / FOLDER), read_stretches(home)[-1]
    assert now.since == manifest.last_seq + 1
    async with own_bus(home) as place, observing(place) as observer:
        assert (await observer.size()).last_seq >= now.since


async def test_without_a_copy_nothing_changes_unless_a_person_says_so(tmp_path: Path) -> None:
    """A folder that cannot be written ends the start with words and what to do; said by name, it goes on without."""
    home, blocked = tmp_path / "home", tmp_path / "blocked"
    await started_and_stopped(home)
    as_if_by(home)
    blocked.write_text("a file, not a folder")
    with pytest.raises(Failure, match=r"no backup could be made before the change from 9\.9\.9") as refused:
        await started_and_stopped(home, backup_folder=blocked)
    assert (refused.value.code, "BULKHEAD_BACKUP_BEFORE_CHANGE=false" in refused.value.cure) == (CANNOT_WRITE, True)
    assert [each.version for each in read_stretches(home)] == ["9.9.9"]
    assert "no backup is made" in await started_and_stopped(home, backup_before_change=False)


async def test_a_restored_log_is_not_copied_into_the_backup_that_it_has_left(tmp_path: Path) -> None:
    """It ends before its old backup does, which is another log's from there on; it starts all the same, and says why nothing is copied."""
    home, folder, again = tmp_path / "home", tmp_path / "backup", tmp_path / "again"
    await started_and_stopped(home)
    last = (await answer_of(home, "backup", "--to", str(folder)))["last_seq"]
    await answer_of(again, "restore", str(folder), "--to-event", str(last - 2))
    assert "the log comes from one" in await started_and_stopped(again, backup_folder=folder)
    assert [each.tree for each in read_stretches(again)] == [RESTORED.tree, ours(0).tree]


async def test_a_log_in_words_that_this_code_does_not_know_starts_nothing(tmp_path: Path) -> None:
    """A halt in a later version: no service starts that would decide without having heard it. Waived, each machine says what it refuses."""
    home = tmp_path / "home"
    await started_and_stopped(home)
    seq = await append(home, said_in_new_words())
    as_if_by(home, NEWER)
    with pytest.raises(Failure) as refused:
        await started_and_stopped(home)
    assert refused.value.code == CONFIG
    assert f"does not know: {NEWER} (1, the first is event {seq})" in refused.value.text
    assert "docs/ROLLBACK.md" in refused.value.cure
    assert read_manifest(home / FOLDER).last_seq == seq, "it was copied all the same"
    stack = Stack(home, ("order-executor",), accept_unknown_events=True)
    try:
        await stack.until(lambda: stack.shows("machines will refuse each of them"), 30)
        await stack.until(lambda: stack.shows("EVENT_REJECTED"), 60)
        refusals = [each for each in await heard(stack) if isinstance(each, EventRejected)]
        assert [(each.rejected_seq, each.reason) for each in refusals] == [(seq, "UNKNOWN_TYPE")]
        await stack.stop()
    finally:
        await stack.abandon()


async def heard(stack: Stack) -> list[object]:
    """Every event in the log that can be read."""
    found = []
    for entry in await stack.log():
        try:
            found.append(decode_from(entry.subject, entry.payload))
        except BadEvent:
            continue
    return found


def test_only_what_may_hold_other_types_is_looked_through() -> None:
    """A step forward costs no look; a step back costs the stretch of whoever knew more; a log of which nothing is written down costs all of it."""
    mine = ours(900)
    older = Stretch(since=1, version="0.1.0", tree="a", types=mine.types[1:])
    newer = Stretch(since=500, version="0.3.0", tree="b", types=(*mine.types, NEWER))
    assert doubtful_from([older], mine.types) == 0
    assert doubtful_from([older, newer, mine], mine.types) == 500
    assert doubtful_from([], mine.types) == doubtful_from([UNRECORDED, older], mine.types) == 1


async def test_a_strangers_nonsense_is_no_later_version() -> None:
    """What names no type at all is left to the machines, which refuse it: whoever may write one event must not be able to stop a start by noise."""

    async def entries() -> AsyncIterator[LogEntry]:
        for seq, payload in enumerate((b"\xff", b"{}", b'{"type":3}', b'{"type":"<x>"}', said_in_new_words()), 1):
            yield LogEntry(seq, "risk.state", payload)

    found = await unknown_in(entries(), types_known())
    assert {name: (each.count, each.first_seq) for name, each in found.items()} == {NEWER: (1, 5)}


def behind(home: Path) -> Engine:
    """The ledger's tables as the first release had them."""
    engine = open_engine(URL.create("sqlite", database=str(home / "ledger.db")))
    migrate(engine, "0001")
    return engine


async def test_a_migration_by_hand_copies_the_log_first(tmp_path: Path) -> None:
    """Where there is something to migrate, once; and where the log cannot be copied nothing is migrated, unless it is said."""
    home, nowhere = tmp_path / "home", tmp_path / "nowhere"
    await started_and_stopped(home)
    engine = behind(home)
    assert (await answer_of(home, "ledger", "migrate"))["revision"] == newest_revision()
    assert revision_of(engine) == newest_revision()
    engine.dispose()
    made_at = read_manifest(home / FOLDER).made_at
    await answer_of(home, "ledger", "migrate")
    assert read_manifest(home / FOLDER).made_at == made_at, "nothing to migrate, nothing to copy"
    engine = behind(nowhere)
    refused = await answer_of(nowhere, "ledger", "migrate", code=UNAVAILABLE)
    assert "no backup could be made before the migration" in refused["error"]
    assert revision_of(engine) == "0001"
    assert (await answer_of(nowhere, "ledger", "migrate", "--without-backup"))["revision"] == newest_revision()
    engine.dispose()
