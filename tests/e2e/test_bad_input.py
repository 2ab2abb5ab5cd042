"""Bad input on a real bus, for every service: refused once, copied to DEAD once, told to people, and life goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.codec import encode
from libs.common.messages import (
    AgentSignals,
    AlertRaised,
    Bar,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentSpec,
    Mark,
    Message,
    OperatorCommanded,
    OrderApproved,
    OrderIntent,
    ServiceStarted,
    TextHeard,
)
from libs.common.subjects import subject_matches, subject_of
from libs.common.timeframe import MINUTE
from libs.runtime.bus import Fenced
from libs.runtime.registry import SERVICES, contract_of, has_machine
from libs.runtime.streams import MSG_BYTES_MAX
from tests.e2e.live_services import NOW, Life, Log, Pen, everybody, forget_snapshots, kind_of, rest, until
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.nats_stack import NatsStack
from tests.unit.common.sampling import sample_of
from tests.unit.order_executor.desk import BTC, STRANGER, approval, policy

WITH_A_MACHINE = tuple(name for name in SERVICES if has_machine(name))
READERS = tuple(name for name in WITH_A_MACHINE if name not in ("market-feed", "agent-llm"))
"""Who reads what the feed says; the model agent hears the portfolio and people, and has its own test."""


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, past its first minute; its clock stands still."""
    async with open_venue(tmp_path / "venue") as stand:
        await stand.advance(90)
        yield stand


# --- what is bad ----------------------------------------------------------------------------------------------------


def spec(step: str = "0.00001") -> InstrumentSpec:
    """The venue's rules for BTC-USDT."""
    number = Decimal(step)
    return InstrumentSpec(
        instrument=BTC,
        base="BTC",
        quote="USDT",
        px_tick=Decimal("0.01"),
        qty_step=number,
        qty_min=number,
        notional_min=Decimal(5),
        taker_fee=Decimal("0.001"),
        maker_fee=Decimal("0.001"),
    )


def status(step: str = "0.00001") -> FeedStatus:
    """The feed lives."""
    return FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="STARTED", health={}, specs=(spec(step),))


def bars(minute: int) -> FeedBars:
    """A quiet minute."""
    opened = NOW + minute * MINUTE
    bar = Bar(
        instrument=BTC,
        venue="binance",
        timeframe="1m",
        ts_open=opened,
        ts_close=opened + MINUTE,
        open=50_000.0,
        high=50_010.0,
        low=49_990.0,
        close=50_000.0,
        volume=1.0,
    )
    return FeedBars(end_ts=opened + MINUTE, bars=(bar,))


def good(pen: Pen) -> dict[str, Message]:
    """One good message for each subject that junk is planted on; together, every service reads them."""
    told = [bars(0), status(), AlertRaised(code="TEST", severity="note", text="a word")]
    return {subject_of(message): message for message in map(pen.filled_in, told)}


def junk_for(message: Message) -> dict[str, bytes]:
    """Everything that must not be acted on, in the place of `message`; by the reason it is refused for, and a name."""
    payload = encode(message)
    fields = msgspec.json.decode(payload)
    of_another = sample_of(OrderIntent)
    not_a_number = msgspec.structs.replace(status("NaN"), id="n", producer="feed")
    return {
        "MALFORMED empty": b"",
        "MALFORMED not json": b"\x00\xff\xfenonsense",
        "MALFORMED half": payload[: len(payload) // 2],
        "MALFORMED nan": payload[:-1] + b',"done_in_seq":NaN}',
        "MALFORMED not an object": b"[" * 2000 + b"]" * 2000,
        "MALFORMED more": msgspec.json.encode({**fields, "and_more": 1}),
        "MALFORMED wrong kind": msgspec.json.encode({**fields, "ts_init": "yesterday"}),
        "MALFORMED beyond time": msgspec.json.encode({**fields, "ts_init": 2**62}),
        "UNKNOWN_TYPE unknown": msgspec.json.encode({**fields, "type": "of_the_future.v1"}),
        "UNKNOWN_TYPE old": msgspec.json.encode({**msgspec.to_builtins(of_another), "type": "order_intent.v0"}),
        "NOT_CANONICAL spaces": msgspec.json.format(payload, indent=1),
        "NOT_CANONICAL twice": payload[:-1] + b',"producer":"feed"}',
        "NOT_FINITE nan": encode(not_a_number),
        "TOO_LARGE": b"x" * MSG_BYTES_MAX,
        "WRONG_SUBJECT mine": encode(
            msgspec.structs.replace(FeedMarks(venue="binance", as_of=1, marks=()), producer="feed", id="m")
        ),
        "WRONG_SUBJECT of another": encode(of_another),
        "WRONG_WRITER": encode(msgspec.structs.replace(of_another, producer="feed")),
        "WRONG_WRITER nobody": encode(msgspec.structs.replace(sample_of(ExecutionReport), producer="")),
    }


def readers_of(subject: str, among: tuple[str, ...] = READERS) -> list[str]:
    """The writers of the services that read a subject."""
    contracts = [contract_of(name) for name in among]
    return [each.writer for each in contracts if any(subject_matches(wish, subject) for wish in each.filters)]


async def plant(pen: Pen, log: Log) -> dict[int, tuple[str, str]]:
    """Plant every kind of junk on every subject; what it is refused for and where it stands, by seq."""
    planted = {}
    for subject, message in good(pen).items():
        for name, payload in junk_for(message).items():
            planted[await pen.write(subject, payload)] = (name.split(" ")[0], subject)
        # headers that speak as the server does to a reader
        for word in ("100", "408", "409"):
            planted[await pen.write(subject, b"?", Status=word)] = ("MALFORMED", subject)
    await pen.raw(b"PUB feed.history.\xff\xfe.1m 1\r\n?\r\n")
    subject = "feed.history.\ufffd\ufffd.1m"
    found: dict[str, int] = {}

    async def is_stored() -> bool:  # nobody confirms a raw publish
        found.update({each.subject: each.seq for each in await log.read()})
        return subject in found

    await until(is_stored)
    return {**planted, found[subject]: ("MALFORMED", subject)}


async def refused(log: Log, writer: str) -> dict[int, tuple[str, str]]:
    """What a writer has refused, by seq; it must have refused nothing twice, and told people of each."""
    told = await log.said(f"{writer}.rejected")
    found = {each.rejected_seq: (each.reason, each.rejected_subject) for each in told}
    assert len(found) == len(told), f"{writer} refused an event twice"
    alerts = [each for each in await log.said(f"{writer}.alert") if each.code == "EVENT_REJECTED"]
    assert [(each.causation_id, each.done_in_seq) for each in alerts] == [
        (each.causation_id, each.rejected_seq) for each in told
    ]
    return found


# --- junk from elsewhere --------------------------------------------------------------------------------------------


async def test_every_service_refuses_what_it_cannot_believe_and_lives_on(nats: NatsStack, venue: VenueStand) -> None:
    """Twenty kinds of junk on subjects that all services read: each reader refuses each once, before and after a restart."""
    log = await Log.of(nats)
    feed, cli = await Pen.of(nats, "market-feed", venue.now), await Pen.of(nats, "cli", venue.now)
    settings: dict[str, dict[str, Any]] = {"agent-trend": {"trend_timeframes": ("1m",)}}
    lives = await everybody(*(Life(nats, name, venue=venue, **settings.get(name, {})).live() for name in READERS))
    planted = await plant(feed, log)
    wanted = {
        writer: {seq: (reason, subject) for seq, (reason, subject) in planted.items() if writer in readers_of(subject)}
        for writer in (contract_of(name).writer for name in READERS)
    }
    assert all(len(each) > 20 for each in wanted.values())

    await feed.say(status())
    await feed.say(FeedMarks(venue="binance", as_of=venue.now, marks=(mark(venue.now),)))
    await feed.say(bars(1))
    await cli.say(GenesisDeclared(book="main", mode="paper", author="me"))
    await cli.say(OperatorCommanded(command="REDUCE", reason="a test", author="me"))
    seq = await feed.say(AlertRaised(code="TEST", severity="page", text="all is well"))
    await until(lambda: lives["order-executor"].state.reading.seen)
    await venue.advance(1)  # what was read must be read once more
    for subject in ("agent.trend.signals", "exec.reconciled", "ledger.entry", "risk.state"):
        assert len(await log.until(subject)) == 1
    await rest(lives, seq)
    assert any("all is well" in each.text for each in await log.said("notify.notice"))
    assert {writer: await refused(log, writer) for writer in wanted} == wanted
    dead = await log.dead()
    assert dead.keys() == planted.keys()
    by_seq = {each.seq: each.payload for each in await log.read()}
    assert all(copy["payload"] == by_seq[seq] for seq, copy in dead.items())
    assert all(f"Bulkhead-Reason: {planted[seq][0]}\r\n" in copy["headers"] for seq, copy in dead.items())

    forget_snapshots(nats.home)
    lives = await everybody(*(Life(nats, name, venue=venue, **settings.get(name, {})).live() for name in READERS))
    await rest(lives, await log.last_seq())
    assert {writer: await refused(log, writer) for writer in wanted} == wanted
    assert await log.dead() == dead
    report = await log.proof(map(kind_of, READERS))
    assert report.mismatches == []
    assert (report.undecodable, report.unpublished) == (len(planted), 0)


async def test_the_model_agent_refuses_what_it_cannot_believe_and_lives_on(nats: NatsStack) -> None:
    """Junk where people bring texts: refused once each, copied to DEAD, and the text behind it is heard."""
    log, cli = await Log.of(nats), await Pen.of(nats, "cli")
    agent = await Life(nats, "agent-llm").live()
    text = TextHeard(instrument=BTC, source="wire", published_at=NOW, text="a word", author="me")
    payload = encode(cli.filled_in(text))
    fields = msgspec.json.decode(payload)
    junk = {
        "MALFORMED": (b"", b"nonsense", payload[:-9], msgspec.json.encode({**fields, "and_more": 1})),
        "UNKNOWN_TYPE": (msgspec.json.encode({**fields, "type": "of_the_future.v1"}),),
        "NOT_CANONICAL": (msgspec.json.format(payload, indent=1),),
        "WRONG_WRITER": (encode(msgspec.structs.replace(cli.filled_in(text), producer="feed")),),
    }
    planted = {await cli.write("ops.cli.text", each): reason for reason, some in junk.items() for each in some}
    await agent.done(await cli.say(text))
    assert {seq: reason for seq, (reason, _) in (await refused(log, "agent.llm")).items()} == planted
    assert (await log.dead()).keys() == planted.keys()
    assert [each.text for each in agent.state.texts[BTC]] == ["a word"]
    assert await agent.stop() is None


def mark(ts: int) -> Mark:
    """A price."""
    return Mark(
        instrument=BTC,
        bid_px=49_999.0,
        ask_px=50_001.0,
        last_px=50_000.0,
        protective_px=50_000.0,
        trust="TRUSTED",
        ts=ts,
    )


# --- junk under one's own name --------------------------------------------------------------------------------------


def forged_start(pen: Pen, service: str, done_in_seq: int) -> bytes:
    """A start that never was, with settings that no machine can be set to."""
    settings = {name: {"no": "such"} for name in kind_of(service).machine_class.Settings.__struct_fields__}
    started = ServiceStarted(
        instance="me", code_version="0", settings=settings, state_digest="", done_in_seq=done_in_seq
    )
    return encode(pen.filled_in(started))


async def plant_under_own_name(pen: Pen, log: Log, service: str, *, is_heard: bool) -> dict[int, str]:
    """Junk with the writer's own key under its own prefix; what the writer itself must refuse, by seq."""
    alert, started, timer = (f"{pen.writer}.{suffix}" for suffix in ("alert", "started", "timer"))
    starts = await log.said(started)
    done_in_seq = starts[-1].done_in_seq if starts else 0
    ahead = msgspec.structs.replace(
        pen.filled_in(AlertRaised(code="X", severity="note", text="from the future")), done_in_seq=10**9
    )
    wanted = {}
    seq = await pen.write(alert, b"junk")
    if is_heard:
        wanted[seq] = "MALFORMED"
    await pen.write(alert, encode(ahead))
    wanted[await pen.write(started, b'{"type":"service_started.v1"}')] = "MALFORMED"
    wanted[await pen.write(started, forged_start(pen, service, done_in_seq))] = "BAD_SETTINGS"
    wanted[await pen.write(timer, encode(sample_of(OrderIntent)))] = "WRONG_SUBJECT"
    return wanted


@pytest.mark.parametrize("when", ["before the first start", "while it lives"])
async def test_junk_under_ones_own_name_costs_one_restart(nats: NatsStack, venue: VenueStand, when: str) -> None:
    """Whoever holds a writer's key can make it start again, but neither forget its place, nor repeat itself, nor stay down."""
    log = await Log.of(nats)
    pens = {name: await Pen.of(nats, name, venue.now) for name in WITH_A_MACHINE}
    lives: dict[str, Life] = {}
    if when == "while it lives":
        lives = await everybody(*(Life(nats, name, venue=venue).live() for name in WITH_A_MACHINE))
    wanted = {
        name: await plant_under_own_name(pen, log, name, is_heard=name == "notifier") for name, pen in pens.items()
    }
    for life in lives.values():
        assert isinstance(await life.ended(), Fenced), life.name
    for _ in range(2):
        lives = await everybody(*(Life(nats, name, venue=venue).live() for name in WITH_A_MACHINE))
        for name in lives:
            await log.until(f"{pens[name].writer}.rejected", len(wanted[name]))
        await rest(lives, await log.last_seq())
        forget_snapshots(nats.home)
    for name, pen in pens.items():
        found = {
            seq: reason
            for seq, (reason, subject) in (await refused(log, pen.writer)).items()
            if subject.startswith(pen.writer)  # the notifier refuses everybody's junk
        }
        assert found == wanted[name], name
    report = await log.proof(map(kind_of, WITH_A_MACHINE))
    # what was forged in a writer's name and form is no output of its machine, and nothing else is amiss
    assert {each.detail for each in report.mismatches} <= {"AlertRaised answers what comes after it"}
    assert report.mismatch_count == len(WITH_A_MACHINE)


async def test_a_position_is_found_behind_a_long_silence(nats: NatsStack) -> None:
    """The last word we can believe may stand a thousand events back: it is found, and nothing is said twice."""
    log, feed, own = await Log.of(nats), await Pen.of(nats, "market-feed"), await Pen.of(nats, "agent-trend")
    life = await Life(nats, "agent-trend", trend_timeframes=("1m",)).live()
    await life.done(await feed.say(bars(1)))
    assert await life.stop() is None
    forget_snapshots(nats.home)
    for number in range(1_000):
        await feed.user.client.publish(
            "feed.marks", encode(feed.filled_in(FeedMarks(venue="binance", as_of=number, marks=())))
        )
    await own.write("agent.trend.alert", b"junk")
    life = await Life(nats, "agent-trend", trend_timeframes=("1m",)).live()
    await life.done(await feed.say(bars(2)))
    assert await life.stop() is None
    told: list[AgentSignals] = await log.said("agent.trend.signals")
    assert [each.end_ts for each in told] == [bars(1).end_ts, bars(2).end_ts]


# --- approvals ------------------------------------------------------------------------------------------------------


def approvals(now: int) -> dict[str, tuple[OrderApproved, str, str]]:
    """Approvals not to be acted on: the event, why it is poison (if it is), how its order is reported (if it is)."""
    in_time: dict[str, Any] = {"ts_event": now, "ts_init": now, "valid_until": now + 10**10}
    fine = approval("fine", **in_time)
    changed = msgspec.structs.replace(approval("changed", **in_time), order_qty=Decimal(9))
    return {
        "of a stranger": (approval("stranger", key=STRANGER, **in_time), "BAD_SIGNATURE", ""),
        "unsigned": (msgspec.structs.replace(fine, key_id="", signature=""), "BAD_SIGNATURE", ""),
        "changed": (changed, "BAD_SIGNATURE", ""),
        "borrowed": (msgspec.structs.replace(changed, signature=fine.signature), "BAD_SIGNATURE", ""),
        "unlisted": (approval("doge", **in_time, instrument="DOGE-USDT"), "UNKNOWN_INSTRUMENT", "REJECTED"),
        "old": (approval("old", **{**in_time, "valid_until": now - 1}), "", "EXPIRED"),
    }


async def test_the_executor_acts_on_no_approval_it_should_not(nats: NatsStack, venue: VenueStand) -> None:
    """Unsigned, altered, too old, or of an instrument nobody listed: nothing reaches the venue, and a good one still does."""
    log = await Log.of(nats)
    feed, gate, cli = [await Pen.of(nats, name, venue.now) for name in ("market-feed", "risk-gate", "cli")]
    changes = {"exec_gate_public_key": policy().gate_public_key, "exec_price_band_bps": 10_000}
    life = await Life(nats, "order-executor", venue=venue, **changes).live()
    px = float((await venue.get("/api/v3/ticker/price", symbol="BTCUSDT"))["price"])
    await feed.say(status())
    now_mark = Mark(instrument=BTC, bid_px=px, ask_px=px, last_px=px, protective_px=px, trust="TRUSTED", ts=venue.now)
    await feed.say(FeedMarks(venue="binance", as_of=venue.now, marks=(now_mark,)))
    await cli.say(GenesisDeclared(book="main", mode="paper", author="me"))
    await until(lambda: life.state.reading.seen)
    await venue.advance(1)  # what was read must be read once more
    assert (await log.until("exec.reconciled"))[0].clean
    planted = {}
    for event, reason, exec_type in approvals(venue.now).values():
        seq = await gate.say(event)
        planted[seq] = (event, reason, exec_type)
        await life.done(seq)
    assert await log.said(f"exec.submitting.{BTC}") == []
    poison = {seq: (reason, subject_of(event)) for seq, (event, reason, _) in planted.items() if reason}
    assert await refused(log, "exec") == poison
    assert (await log.dead()).keys() == poison.keys()
    reports = [*await log.said(f"exec.report.{BTC}"), *await log.said("exec.report.DOGE-USDT")]
    expected = {event.intent_id: exec_type for event, _, exec_type in planted.values() if exec_type}
    assert {each.intent_id: each.exec_type for each in reports} == expected
    buy = approval(
        "real", ts_init=venue.now, valid_until=venue.now + 10**10, ref_px=Decimal(str(px)), stop_px=Decimal(1)
    )
    await gate.say(buy)
    trades = await log.until(f"exec.report.{BTC}", 3)
    assert "TRADE" in {each.exec_type for each in trades}
    assert await life.stop() is None
    report = await log.proof([kind_of("order-executor")])
    assert report.mismatches == []


async def test_an_id_used_twice_stops_nobody(nats: NatsStack) -> None:
    """Two events of one id are two events: each is answered, nobody takes the second answer for a repeat of the first."""
    log, feed = await Log.of(nats), await Pen.of(nats, "market-feed")
    lives = await everybody(*(Life(nats, name).live() for name in ("notifier", "ledger")))
    for code in ("ONE", "TWO"):
        await feed.say(AlertRaised(id="the same", code=code, severity="page", text=f"number {code}"))
        bad = msgspec.structs.replace(sample_of(ExecutionReport), exec_type="TRADE", id="the same", exec_id=code)
        await (await Pen.of(nats, "order-executor")).say(bad)
    notices = await log.until("notify.notice", 4)
    texts = " ".join(each.text for each in notices)
    assert "number ONE" in texts
    assert "number TWO" in texts
    assert len(await log.until("ledger.rejected", 2)) == 2
    await rest(lives, await log.last_seq())
