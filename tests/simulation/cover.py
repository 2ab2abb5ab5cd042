"""The checker of protection: what the executor knows to hold is covered, in time, and never sold twice.

A position is covered by stops that the executor has seen resting, and by exits on their way. What is not covered may stay so for
`cover_ms_max` (then the executor sells), and for the time in which orders of unknown fate may still arrive and must be taken
back first (the receive window and its margin). The clock stands while a request about the instrument waits for its answer
(the venue's own answer times, our deadline included), and starts anew with each life of the executor's process, and with each incident
that leaves nobody able to protect anything. Failed attempts are paced, and a machine takes its turns in the log: `SLACK_MS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from libs.common.money import floor_to_step
from libs.common.timeframe import MILLISECOND, SECOND
from services.order_executor.orders import OPEN, Order
from services.order_executor.state import Holding, State
from tests.simulation.market import spec
from tests.simulation.world import INSTRUMENTS, World

LOOK_EVERY = 200 * MILLISECOND
SLACK_MS = 1_500
RETRY_PACE = 31 * SECOND
"""After an incident, the next attempt comes within the longest pause between attempts."""
EXCUSED = 120 * SECOND
"""For so long after a hand's or a forced sale, coins may be missing where the executor expects them."""


class Cover:
    """Looks at the executor's own view a few times a second. `longest` is the longest time (ns) something was without cover."""

    def __init__(self, world: World):
        self.world = world
        self.longest = 0
        self._looked = 0
        self._life = 0
        self._naked: dict[str, int] = {}
        self._forced: dict[str, int] = {}
        self._unpaid = 0
        policy = world.policy
        allowed_ms = policy.cover_ms_max + policy.recv_window_ms + policy.finality_margin_ms + SLACK_MS
        self.allowed = allowed_ms * MILLISECOND

    def complaints(self) -> Iterator[str]:
        """What is wrong now."""
        now = self.world.scheduler.now
        yield from self._sold_beyond(now)
        elapsed = now - self._looked
        if elapsed < LOOK_EVERY:
            return
        self._looked = now
        node = self.world.executor
        if node.starts != self._life or node.process is None or node.process.engine.recovering:
            self._life = node.starts
            self._naked.clear()
            return
        state: State = node.state()
        for instrument, holding in state.holdings.items():
            live = state.live_orders(instrument)
            if holding.forced:
                self._forced[instrument] = now
            elif now - self.world.incidents.meddled.get(instrument, 0) > EXCUSED:
                yield from _sold_twice(state, instrument, holding, live)
            if not self._is_naked(state, instrument, live) or self.world.incidents.blinds(instrument, now, RETRY_PACE):
                self._naked.pop(instrument, None)
            elif not self.world.venue_edge.waiting[instrument]:
                since = self._naked[instrument] = self._naked.get(instrument, -elapsed) + elapsed
                self.longest = max(self.longest, since)
                if since > self.allowed:
                    yield f"{instrument}: {holding.qty} held, without cover for {since // MILLISECOND} ms"

    def _is_naked(self, state: State, instrument: str, live: list[Order]) -> bool:
        holding, rules = state.holdings[instrument], spec(instrument)
        if not holding.owner or holding.qty <= 0 or instrument not in INSTRUMENTS:
            return False
        covering = [each for each in live if each.role == "EXIT" or (each.role == "STOP" and each.status in OPEN)]
        gap = floor_to_step(holding.qty, rules.qty_step) - sum((each.leaves_qty for each in covering), Decimal(0))
        px = min(Decimal(str(self.world.feed_edge.px(instrument))), holding.stop_px or Decimal(0))
        return gap * px * Decimal("0.98") >= rules.notional_min

    def _sold_beyond(self, now: int) -> Iterator[str]:
        """The venue refused a sale because the coins were not there, although nobody else had touched them."""
        for instrument, cl_ord_id in self.world.venue_edge.unpaid[self._unpaid :]:
            state: State | None = self.world.executor.state()
            forced = state is not None and instrument in state.holdings and state.holdings[instrument].forced
            last = max(self._forced.get(instrument, 0), self.world.incidents.meddled.get(instrument, 0))
            if not forced and now - last > EXCUSED:
                yield f"{cl_ord_id} would sell more {instrument} than is free"
        self._unpaid = len(self.world.venue_edge.unpaid)


def _sold_twice(state: State, instrument: str, holding: Holding, live: list[Order]) -> Iterator[str]:
    """What is on its way to the venue and what rests there may sell what is held, once; of a stop and its replacement one sells."""
    sells = [each for each in live if each.side == "SELL" and each.role != "TARGET"]
    replaced = {each.replaces for each in sells if not each.venue_order_id}
    resting = sum(
        (each.leaves_qty for each in sells if each.venue_order_id and each.cl_ord_id not in replaced), Decimal(0)
    )
    on_its_way = [each for each in sells if not each.venue_order_id and not _is_overtaken(state, each)]
    fresh = sum((each.leaves_qty for each in on_its_way), Decimal(0))
    if fresh and fresh + resting > holding.qty:
        yield f"{instrument}: {holding.qty} held, {fresh} on its way beside {resting} resting"


def _is_overtaken(state: State, order: Order) -> bool:
    """Whether what it was to replace has sold meanwhile: then the venue does not let it in the place of that."""
    old = state.orders.get(order.replaces)
    return old is not None and any(each.cum_qty for each in [old, *state.pair_of(old)])
