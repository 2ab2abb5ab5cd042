"""The weight budget as a pure machine: no interleaving exceeds the limit, nothing takes the orders' reserve, nobody lies for free."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from libs.runtime.venue_terms import BINANCE, KRAKEN, KUCOIN, SECOND_NS, SLACK_NS, UNKNOWN, Terms, terms_of
from libs.runtime.weight_breaker import HOLD_NS, Breaker
from libs.runtime.weight_budget import Budget, Lease, OrderCount, Row, Taken

START = 1_800_000_000 * SECOND_NS
SMALL = Terms(limit=100, window_s=12, reserve=20, chunk=7, order_chunk=3)
WRITERS = ("feed.0", "feed.1", "exec")
LANES = ("data", "orders")


class Table:
    """The shared place: rows, and a sequence that changes with every one of them."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.seq = 0

    def write(self, writer: str, row: Row, expected_seq: int) -> bool:
        if expected_seq != self.seq:
            return False
        self.rows[writer], self.seq = row, self.seq + 1
        return True


class Taker:
    """One process: its budget, and what it last read."""

    def __init__(self, writer: str, table: Table, now: int):
        self.budget, self.table, self.seq = Budget(SMALL, writer), table, 0
        if writer in table.rows:
            self.budget.adopt(table.rows[writer])
        self.read(now)

    def read(self, now: int) -> None:
        self.budget.learned(now, self.table.rows)
        self.seq = self.table.seq

    def write(self, now: int) -> bool:
        written = self.table.write(self.budget.writer, self.budget.row(now), self.seq)
        self.seq += written
        return written

    def take(self, now: int, lane: Any, weight: int) -> bool:
        """As a purse does it: spend what is leased, else lease and write; a refused writing is given back."""
        budget = self.budget
        if budget.left(now, lane) < weight:
            lease = budget.lease(now, lane, weight, is_shared=True)
            if lease is None:
                return False
            if not self.write(now):
                budget.give_back(lease)
                return False
            budget.settle(lease)
        return budget.go(now, lane, weight)


class Interleavings(RuleBasedStateMachine):
    """Several processes read, lease, write, spend and crash in any order, some on what they read long ago."""

    takers: Bundle[str] = Bundle("takers")

    @initialize()
    def begin(self) -> None:
        self.now, self.table = START, Table()
        self.processes = {writer: Taker(writer, self.table, START) for writer in WRITERS}
        self.sent: list[tuple[int, str, int]] = []

    @rule(writer=st.sampled_from(WRITERS), lane=st.sampled_from(LANES), weight=st.integers(1, 30))
    def take(self, writer: str, lane: str, weight: int) -> None:
        taker = self.processes[writer]
        if lane == "orders" and writer != "exec":
            return
        if taker.take(self.now, lane, weight):
            self.sent.append((self.now, lane, weight))

    @rule(writer=st.sampled_from(WRITERS))
    def read(self, writer: str) -> None:
        self.processes[writer].read(self.now)

    @rule(writer=st.sampled_from(WRITERS))
    def sync(self, writer: str) -> None:
        self.processes[writer].read(self.now)
        self.processes[writer].write(self.now)

    @rule(writer=st.sampled_from(WRITERS))
    def crash(self, writer: str) -> None:
        self.processes[writer] = Taker(writer, self.table, self.now)

    @rule(milliseconds=st.integers(1, 5_000))
    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds * 1_000_000

    @invariant()
    def the_venue_never_sees_more_than_it_allows(self) -> None:
        for end, _, _ in self.sent[-50:]:
            window = [each for each in self.sent if end - SMALL.window_ns < each[0] <= end]
            assert sum(weight for _, _, weight in window) <= SMALL.limit
            assert sum(weight for _, lane, weight in window if lane == "data") <= SMALL.data_limit


Interleavings.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestInterleavings = Interleavings.TestCase
TestInterleavings.__doc__ = "Over any interleaving of takers, crashes and stale reads the limit and the reserve hold."


rows = st.builds(
    Row,
    taken=st.lists(
        st.builds(
            Taken,
            at=st.integers(START - 20 * SECOND_NS, START + 20 * SECOND_NS),
            data=st.integers(0, 10**9),
            orders=st.integers(0, 10**9),
        ),
        max_size=8,
    ).map(tuple),
    surplus=st.integers(0, 10**9),
    surplus_at=st.integers(START - 20 * SECOND_NS, START + 20 * SECOND_NS),
    breaker=st.none()
    | st.builds(
        Breaker,
        status=st.sampled_from((418, 429)),
        since=st.integers(0, START + 10**15),
        until=st.integers(0, START + 10**18),
    ),
)


@given(hostile=st.lists(rows, min_size=1, max_size=30), neighbour=rows)
@settings(max_examples=200, deadline=None)
def test_whatever_a_feed_writes_an_order_is_delayed_by_two_seconds_at_most_and_not_again_for_a_minute(
    hostile, neighbour
):
    """A feed that writes anything into its row, and anybody's into the host's file, once a second."""
    budget, now, delayed = Budget(SMALL, "exec"), START, 0
    for row in hostile:
        now += SECOND_NS
        budget.learned(now, {"feed": row, "feed.1": row})
        budget.seen_on_host(now, {"feed": row, "exec.other": neighbour, "exec": neighbour})
        delayed += budget.gate.opens_at(now, "orders") > 0
        budget.gate.told(now, 200, None) if budget.gate.admits(now, "orders") else None
        assert budget.free(now, "orders", is_shared=True) >= SMALL.reserve
    assert delayed <= HOLD_NS["orders"] // SECOND_NS


def test_data_stops_at_the_reserve_and_orders_go_on() -> None:
    """The last twenty of a hundred are nobody's but the orders'."""
    table = Table()
    feed, executor = Taker("feed", table, START), Taker("exec", table, START)
    assert [feed.take(START, "data", 20) for _ in range(5)] == [True] * 4 + [False]
    executor.read(START)
    assert not executor.take(START, "data", 1)
    assert [executor.take(START, "orders", 10) for _ in range(3)] == [True, True, False]


def test_orders_may_use_everything_and_data_what_they_leave() -> None:
    """Beyond the reserve orders and data draw on the same weight."""
    table = Table()
    feed, executor = Taker("feed", table, START), Taker("exec", table, START)
    assert executor.take(START, "orders", 90)
    feed.read(START)
    assert feed.take(START, "data", 7)
    assert not feed.take(START, "data", 4)


def test_an_order_spends_what_was_leased_for_data() -> None:
    """The process that holds a chunk for its questions needs no other for an order."""
    table = Table()
    executor = Taker("exec", table, START)
    assert executor.take(START, "data", 2)
    assert executor.budget.left(START, "orders") == 5
    assert executor.budget.go(START, "orders", 5)
    assert executor.budget.row(START).taken == (Taken(START, 2, 5),)


def test_what_a_lease_has_not_spent_is_given_back_when_its_slot_is_over() -> None:
    """Chunk 7, spent 1: the next row says 1; until it is written, others still count 7."""
    table = Table()
    feed = Taker("feed", table, START)
    assert feed.take(START, "data", 1)
    assert table.rows["feed"].taken == (Taken(START, 7, 0),)
    later = START + SMALL.slot_ns
    assert feed.budget.left(later, "data") == 0
    assert feed.budget.row(later).taken == (Taken(START, 1, 0),)


def test_a_crashed_holder_costs_its_chunk_until_the_window_has_passed() -> None:
    """Its successor, and everybody else, count all that was leased: too much, never too little."""
    table = Table()
    assert Taker("feed", table, START).take(START, "data", 1)
    again = Taker("feed", table, START)
    assert (again.budget.used(START), again.budget.left(START, "data")) == (7, 0)
    after = START + SMALL.window_ns + SMALL.slot_ns + SLACK_NS
    again.read(after)
    assert again.budget.used(after) == 0


def test_what_was_taken_counts_for_a_whole_window_after_the_last_instant_it_can_have_been_spent() -> None:
    """A lease is spent within its slot, and a request may travel."""
    table = Table()
    feed = Taker("feed", table, START)
    assert feed.take(START, "data", 80)
    until = START + SMALL.slot_ns + SMALL.window_ns + SLACK_NS
    assert (feed.budget.free(until - 1, "data", is_shared=True), feed.budget.free(until, "data", is_shared=True)) == (
        0,
        80,
    )


def test_the_venues_number_wins_when_it_is_higher() -> None:
    """It has counted 60 where we know of 10: the other 50 are somebody's, and data has 20 left."""
    table = Table()
    feed = Taker("feed", table, START)
    assert feed.take(START, "data", 10)
    feed.budget.told(START, 200, None, 60)
    assert (feed.budget.used(START), feed.budget.free(START, "data", is_shared=True)) == (60, 20)
    feed.budget.told(START, 200, None, 40)  # an answer that was overtaken
    assert feed.budget.used(START) == 60
    later = START + SMALL.slot_ns
    feed.budget.told(later, 200, None, 3)  # the venue's minute has turned
    assert feed.budget.used(later) == 10


def test_what_the_venue_told_one_process_holds_back_the_data_of_all() -> None:
    """The surplus stands in the row of whoever heard of it; orders count of it what leaves them their reserve."""
    table = Table()
    feed, executor = Taker("feed", table, START), Taker("exec", table, START)
    feed.budget.told(START, 200, None, 95)
    assert feed.write(START)
    executor.read(START)
    assert not executor.take(START, "data", 1)
    assert executor.budget.free(START, "orders", is_shared=True) == 20


def test_alone_data_has_a_quarter_of_its_share_and_orders_all_of_theirs() -> None:
    """Four hosts that cannot reach each other still stay within the limit together, and an order has its reserve at once."""
    budget = Budget(SMALL, "feed")
    assert budget.free(START, "data", is_shared=False) == 20
    assert Budget(SMALL, "exec").free(START, "orders", is_shared=False) == 20


def test_alone_the_orders_of_a_neighbour_do_not_use_up_the_share_of_data() -> None:
    """They have their reserve, which the file says too."""
    budget = Budget(SMALL, "feed")
    budget.seen_on_host(START, {"exec": Row((Taken(START, 0, 20),))})
    assert budget.free(START, "data", is_shared=False) == 20
    budget.seen_on_host(START, {"exec": Row((Taken(START, 0, 90),))})
    assert budget.free(START, "data", is_shared=False) == 10


def test_an_order_without_room_asks_the_venue_once_in_two_seconds() -> None:
    """What its own venue told it holds an order, but not for ever: one goes and brings the newest number."""
    budget = Budget(SMALL, "exec")
    budget.told(START, 200, None, 100)
    assert budget.free(START, "orders", is_shared=True) == 0
    asked = [budget.overdraw(START + n * SECOND_NS, 1) for n in range(6)]
    assert asked == [False, False, True, False, True, False]
    assert budget.row(START).taken == (Taken(START + 2 * SECOND_NS, 0, 1), Taken(START + 4 * SECOND_NS, 0, 1))


def test_orders_that_have_used_up_everything_wait_like_anybody() -> None:
    """What we know of ourselves is no reason to ask the venue."""
    executor = Taker("exec", Table(), START)
    assert executor.take(START, "orders", 100)
    assert not executor.budget.overdraw(START + 5 * SECOND_NS, 1)


def test_a_row_survives_the_wire_and_nonsense_does_not() -> None:
    """What a writer cannot have meant is refused by its type."""
    row = Row((Taken(START, 1, 2),), 3, START, Breaker(429, START, START + 1))
    assert msgspec.json.decode(msgspec.json.encode(row), type=Row) == row
    for nonsense in ('{"taken":[[1,-1,0]]}', '{"surplus":1e30}', '{"breaker":{"status":200,"since":1,"until":2}}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(nonsense, type=Row)


def test_new_orders_have_a_window_of_their_own() -> None:
    """A hundred in ten seconds; where the venue has counted more than we did, its number wins."""
    count = OrderCount(BINANCE)
    count.add(START, 60)
    count.told(START, 99)
    assert count.has_room(START)
    count.add(START)
    assert not count.has_room(START + 10 * SECOND_NS)
    assert count.has_room(START + 11 * SECOND_NS)


@pytest.mark.parametrize("terms", [BINANCE, KRAKEN, KUCOIN, UNKNOWN])
def test_every_venue_leaves_room_for_both(terms: Terms) -> None:
    """Chunks fit into what they are taken from, in the last slot too."""
    assert 0 < terms.reserve < terms.limit
    assert terms.chunk <= terms.alone_limit <= terms.data_limit
    assert terms.order_chunk <= terms.reserve


def test_what_ccxt_calls_cost_is_weight_in_the_venues_unit() -> None:
    """Binance: account 4 is 20, a kline 0.4 is 2, an order 0.2 is 1; what costs nothing costs one."""
    assert [BINANCE.weight_of(cost) for cost in (4, 0.4, 0.2, None, 0)] == [20, 2, 1, 5, 1]
    assert terms_of("nobody") is UNKNOWN


def test_a_lease_cannot_be_spent_before_everybody_can_read_it() -> None:
    """An order that comes while its writing is under way does not find it; given back, nothing of it remains."""
    budget = Budget(SMALL, "exec")
    lease = budget.lease(START, "data", 2, is_shared=True)
    assert lease == Lease(START, "data", 7)
    assert not budget.go(START, "orders", 1)
    assert budget.row(START).taken == (Taken(START, 7, 0),)
    budget.give_back(lease)
    assert (budget.row(START).taken, budget.left(START, "data")) == ((), 0)
    again = budget.lease(START, "data", 2, is_shared=True)
    assert again is not None
    budget.settle(again)
    assert budget.go(START, "orders", 1)
