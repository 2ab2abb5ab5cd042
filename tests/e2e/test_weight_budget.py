"""One budget for everybody behind an address: real processes, a real bus that is killed, unmodified ccxt, a venue that counts."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import ccxt
import ccxt.pro
import pytest
from prometheus_client import CollectorRegistry

from libs.runtime.adapter import NotGranted
from libs.runtime.budget_rows import HostRows, SharedRows
from libs.runtime.ccxt_budget import spend_from
from libs.runtime.streams import BUDGETS
from libs.trading.binance_ccxt import ccxt_config
from tests.e2e.live_services import Life, until
from tests.e2e.metered_venue import (
    CALLERS,
    EGRESS,
    TERMS,
    VENUE,
    Caller,
    budget_of,
    budget_without_bus,
    metered,
    use_short_minute,
)
from tests.e2e.venue_stand import open_venue
from tests.nats_stack import NatsStack


@pytest.fixture(autouse=True)
def short_minute() -> None:
    """The venue's minute has six seconds."""
    use_short_minute()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[NatsStack]:
    """A bus for two feeds and an executor."""
    stack = NatsStack(tmp_path / "home", CALLERS)
    await stack.start()
    try:
        yield stack
    finally:
        stack.process.send_signal(signal.SIGCONT)
        await stack.stop()


def client(url: str) -> ccxt.pro.binance:
    return ccxt.pro.binance(ccxt_config(url, "k" * 64, "s" * 64))


async def klines(exchange: ccxt.pro.binance) -> None:
    await exchange.public_get_klines({"symbol": "BTCUSDT", "interval": "1m"})


# --- processes ------------------------------------------------------------------------------------------------------


async def test_two_feeds_at_full_speed_never_get_the_address_refused_and_orders_pass(
    bus: NatsStack, tmp_path: Path
) -> None:
    """Three processes on two hosts race for one venue; one is killed and replaced. No window holds more than the venue allows."""
    async with metered() as (venue, url):
        callers = [await Caller.start(bus, "feed-a", url, "data")]
        callers.append(await Caller.start(bus, "feed-b", url, "data", home=tmp_path / "another host"))
        callers.append(await Caller.start(bus, "executor", url, "orders"))
        try:
            await asyncio.gather(*(caller.more("sent shared", 6) for caller in callers))
            await callers[0].stop()
            callers[0] = await Caller.start(bus, "feed-a", url, "data")
            await asyncio.gather(*(caller.more("sent shared", 6) for caller in callers))
        finally:
            for caller in callers:
                await caller.stop()
        assert venue.most_in_a_window("klines") <= TERMS.data_limit
        assert venue.most_in_a_window() <= TERMS.limit
        assert set(venue.answers) == {200}
        assert callers[2].said["refused"] == 0


async def test_the_bus_dies_and_comes_back_and_nobody_calls_too_much(bus: NatsStack) -> None:
    """Orders go on at once, data with a quarter of its share, counted in the host's file; then they share again."""
    async with metered() as (venue, url):
        callers = [await Caller.start(bus, *each) for each in (("feed-a", url, "data"), ("feed-b", url, "data"))]
        callers.append(await Caller.start(bus, "executor", url, "orders"))
        try:
            await asyncio.gather(*(caller.more("sent shared", 5) for caller in callers))
            bus.kill()
            await callers[2].more("sent alone", 5)
            await asyncio.gather(*(caller.more("sent alone", 2) for caller in callers))
            await bus.start(provisioned=False)
            await asyncio.gather(*(caller.more("sent shared", 5) for caller in callers))
        finally:
            for caller in callers:
                await caller.stop()
        assert venue.most_in_a_window() <= TERMS.limit
        assert set(venue.answers) == {200}
        assert callers[2].said["refused"] == 0


async def test_a_frozen_bus_does_not_hold_orders(bus: NatsStack) -> None:
    """A server that takes everything and answers nothing is the same as none."""
    async with metered() as (venue, url):
        caller = await Caller.start(bus, "executor", url, "orders")
        try:
            await caller.more("sent shared", 3)
            bus.process.send_signal(signal.SIGSTOP)
            await caller.more("sent alone", 5)
            bus.process.send_signal(signal.SIGCONT)
            await caller.more("sent shared", 3)
        finally:
            await caller.stop()
        assert caller.said["refused"] == 0
        assert venue.most_in_a_window() <= TERMS.limit


# --- the breaker ----------------------------------------------------------------------------------------------------


async def test_a_ban_heard_by_one_silences_the_data_of_all(bus: NatsStack) -> None:
    """The other feed has not called once when it waits already; when the ban is over, both go on."""
    async with metered() as (venue, url), budget_of(bus, "feed-a") as ours, budget_of(bus, "feed-b") as theirs:
        first, second = client(url), client(url)
        spend_from(ours, first, VENUE)
        spend_from(theirs, second, VENUE, deadline_s=0.5)
        try:
            await klines(second)
            venue.refuses = {"status": 418, "retry_after": 3}
            with pytest.raises(ccxt.DDoSProtection):
                await klines(first)
            venue.refuses = {}
            await until(lambda: theirs.purse(VENUE).budget.gate.opens_at(theirs._now(), "data"))
            before = len(venue.arrivals)
            with pytest.raises(NotGranted, match="no room for weight 2"):
                await klines(second)
            assert len(venue.arrivals) == before
            await klines(first)  # waits for the end of the ban
            assert venue.arrivals[-1][0] - venue.arrivals[-2][0] >= 2.9
        finally:
            await first.close()
            await second.close()


async def test_a_feed_that_lies_about_a_ban_and_its_use_holds_an_order_once(bus: NatsStack) -> None:
    """It has its own row only: the first order asks the venue itself, the next ones go at once."""
    liar = await bus.connect("feed-a")
    async with metered() as (venue, url), budget_of(bus, "executor") as budget:
        exchange = client(url)
        spend_from(budget, exchange, VENUE, lane="orders", deadline_s=5.0)
        try:
            await exchange.public_get_time()
            now, much = budget._now(), 10**9
            lie = {
                "taken": [[now - now % TERMS.slot_ns, much, much]],
                "surplus": much,
                "surplus_at": now,
                "breaker": {"status": 418, "since": now, "until": 4 * 10**18},
            }
            await liar.ask(f"$KV.BUDGETS.{VENUE}.{EGRESS}.feed.0", lie)
            await until(lambda: budget.purse(VENUE).budget.gate.opens_at(budget._now(), "orders"))
            for _ in range(5):
                await exchange.public_get_time()
            with pytest.raises(NotGranted):  # data is at the liar's mercy, as it is at its silence
                await budget.take(VENUE, 1, "data", 0.3)
        finally:
            await exchange.close()
        assert venue.answers == {200: 6}
    refused = await liar.refused(f"$KV.BUDGETS.{VENUE}.{EGRESS}.exec", f"$KV.BUDGETS.{VENUE}.{EGRESS}.feed.1")
    assert len(refused) == 2


async def test_a_row_nobody_can_read_hides_its_writer_and_nobody_else(bus: NatsStack) -> None:
    """Nonsense under a writer's name is skipped, the rows beside it count."""
    liar, honest = await bus.connect("feed-a"), await bus.connect("feed-b")
    await liar.ask(f"$KV.BUDGETS.{VENUE}.{EGRESS}.feed.0", b"\xff not json")
    async with budget_of(bus, "executor") as budget:
        rows = SharedRows(budget._shared._bus, "exec", EGRESS)
        now = budget._now()
        row = {"taken": [[now - now % TERMS.slot_ns, 48, 0]]}
        await honest.ask(f"$KV.BUDGETS.{VENUE}.{EGRESS}.feed.1", row)
        found, seq = await rows.read(VENUE)
        assert (set(found), seq) == ({"feed.1"}, 2)
        with pytest.raises(NotGranted):
            await budget.take(VENUE, 1, "data", 0.2)
        await budget.take(VENUE, 12, "orders", 0.5)


# --- the venue's own numbers, the host's file ---------------------------------------------------------------------------


async def test_strangers_behind_the_same_address_are_counted_by_what_the_venue_says(bus: NatsStack) -> None:
    """The venue has counted 40 that are not ours: 8 are left to data, and the twelve of the orders stay."""
    async with metered() as (venue, url), budget_of(bus, "feed-a") as budget:
        exchange = client(url)
        spend_from(budget, exchange, VENUE, deadline_s=0.3)
        venue.used_elsewhere = 40
        try:
            await klines(exchange)
            answers = await asyncio.gather(*(klines(exchange) for _ in range(5)), return_exceptions=True)
            assert any(isinstance(each, NotGranted) for each in answers)
        finally:
            await exchange.close()
        assert venue.most_in_a_window() <= TERMS.data_limit - 40
        assert set(venue.answers) == {200}


async def test_what_was_spent_without_the_bus_stands_there_when_it_is_back(bus: NatsStack) -> None:
    """The row on the bus says what left, and nothing of the chunk it was taken from."""
    async with budget_of(bus, "executor") as budget:
        await budget.take(VENUE, 1, "orders", 5.0)
        bus.kill()
        await until(lambda: not budget.purse(VENUE).is_shared)
        for _ in range(3):
            await budget.take(VENUE, 2, "orders", 5.0)
        await bus.start(provisioned=False)
        await until(lambda: budget.purse(VENUE).is_shared)
        rows = SharedRows(budget._shared._bus, "exec", EGRESS)

        async def stands() -> bool:
            found, _ = await rows.read(VENUE)
            return sum(each.orders for each in found["exec"].taken) == 7

        await until(stands)


async def test_processes_of_one_host_see_each_other_without_any_bus(tmp_path: Path) -> None:
    """The file under the state folder is what they share; another folder is another host."""
    first, second = (budget_without_bus(writer, tmp_path) for writer in ("feed.0", "feed.1"))
    far = budget_without_bus("feed.1", tmp_path / "far")
    await first.take(VENUE, TERMS.alone_limit, "data", 0.3)
    with pytest.raises(NotGranted, match="the bus is away"):
        await second.take(VENUE, 1, "data", 0.3)
    await far.take(VENUE, 1, "data", 0.3)
    await second.take(VENUE, 5, "orders", 0.3)


async def test_a_file_that_cannot_be_used_stops_data_and_no_order(tmp_path: Path) -> None:
    """Somebody holds its lock for ever; an order counts for itself."""
    budget = budget_without_bus("exec", tmp_path)
    with HostRows(tmp_path / "budgets", VENUE, EGRESS).locked():
        with pytest.raises(NotGranted):
            await budget.take(VENUE, 1, "data", 0.3)
        await budget.take(VENUE, 1, "orders", 0.3)
    await budget.take(VENUE, 1, "data", 0.3)


async def test_a_process_that_starts_without_the_bus_counts_what_its_predecessor_left_in_the_file(
    tmp_path: Path,
) -> None:
    """A crash is no way to a fresh budget."""
    await budget_without_bus("feed", tmp_path).take(VENUE, TERMS.alone_limit, "data", 0.3)
    with pytest.raises(NotGranted):
        await budget_without_bus("feed", tmp_path).take(VENUE, 1, "data", 0.3)


@pytest.mark.parametrize("weight", [0, -1, TERMS.data_limit + 1])
async def test_a_weight_no_window_has_room_for_is_refused_at_once(tmp_path: Path, weight: int) -> None:
    """It would wait for ever."""
    with pytest.raises(ValueError, match=f"weight {weight} cannot be made; want 1 to 48"):
        await budget_without_bus("feed", tmp_path).take(VENUE, weight)


# --- the shell ------------------------------------------------------------------------------------------------------


async def test_the_executors_own_shell_books_what_it_asks(nats: NatsStack, tmp_path: Path) -> None:
    """Its row stands on the bus under its own name, and its metrics say what is used."""
    async with open_venue(tmp_path / "venue") as venue:
        await venue.advance(90)
        life = await Life(nats, "order-executor", venue=venue, egress="nat").live()
        try:
            admin = await nats.connect("admin")
            question = {"last_by_subj": "$KV.BUDGETS.binance.nat.exec"}

            async def is_booked() -> bool:
                found = await admin.ask(f"$JS.API.STREAM.MSG.GET.{BUDGETS}", question)
                return "message" in found and b'"taken":[[' in base64.b64decode(found["message"]["data"])

            await until(is_booked)

            def is_told() -> bool:
                text = life.shell._metrics.exposition()[0].decode()
                shared = 'bulkhead_venue_budget_shared{service="order-executor",venue="binance"} 1.0' in text
                used = re.search(r'bulkhead_venue_weight_used\{[^}]*venue="binance"\} ([0-9.]+)', text)
                return shared and used is not None and float(used[1]) >= 20

            await until(is_told)
        finally:
            assert await life.stop() is None


async def test_metrics_tell_waits_by_lane_and_an_open_breaker(tmp_path: Path) -> None:
    """What a board shows when a venue has had enough."""
    registry = CollectorRegistry()
    budget = budget_without_bus("exec", tmp_path, registry)
    await budget.take(VENUE, 1, "orders", 0.3)
    budget.told(VENUE, 418, {"retry-after": "120"})
    with pytest.raises(NotGranted, match="the venue said 418, 120 s to go"):
        await budget.take(VENUE, 1, "orders", 0.3)
    await budget.purse(VENUE).sync()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"bulkhead_venue_{name}", {"service": "exec", "venue": VENUE, **labels})

    assert (value("weight_used"), value("weight_limit"), value("breaker_open")) == (2, TERMS.limit, 1)
    assert value("budget_shared") == 0
    assert value("weight_wait_seconds_count", lane="orders") == 2
    assert value("weight_refused_total", lane="orders") == 1
