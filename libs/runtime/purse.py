"""One venue's budget in one process: the pure machine (`weight_budget`) between its rows on the bus, its file, and who waits.

    take data    ──▶ queue (first come, first served) ─┬─▶ spend ─▶ go
    take orders  ──▶ no queue ─────────────────────────┤     │ nothing leased
                                                       └─◀ lease: write our row into the file, then on the bus (CAS)
    sync, every second: read what others took, write what we took without asking, what we give back, what we were told

Without the bus data goes on with a quarter of its share, counted in the host's file. Orders wait for the bus `ORDER_ASK_S` at most,
once: as soon as it has not answered, nobody asks it but `sync`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from libs.runtime.adapter import NotGranted
from libs.runtime.budget_metrics import BudgetMetrics
from libs.runtime.budget_rows import HostRows, HostRowsBusy, SharedRows
from libs.runtime.bus import BusError, Fenced
from libs.runtime.venue_terms import SECOND_NS, Terms
from libs.runtime.weight_breaker import HOLD_NS, Lane
from libs.runtime.weight_budget import Budget, Lease, Row

ASK_S = 0.5
"""The bus answers within so long, or is away."""
ORDER_ASK_S = 0.25
SWAPS_MAX = 20
PAUSE_S = (0.01, 0.25)
IN_USE_WINDOWS = 2


class _Away(Exception):
    """The bus does not answer; `is_shared` is false from now on."""


class Purse:
    """What one process may spend at one venue."""

    def __init__(
        self,
        venue: str,
        terms: Terms,
        writer: str,
        shared: SharedRows | None,
        host: HostRows,
        metrics: BudgetMetrics,
        logger: Any,
        now: Callable[[], int] = time.time_ns,
    ):
        self.budget = Budget(terms, writer)
        self._venue = venue
        self._shared = shared
        self._host = host
        self._metrics = metrics
        self._logger = logger
        self._now = now
        self.is_shared = shared is not None
        self._queue = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._seq = 0
        self._written: Row | None = None
        self._has_adopted = False
        self._before: Row | None = None
        self._is_host_known = False
        self._used_at = 0
        self._trouble = ""

    # --- the port ---------------------------------------------------------------------------------------------------

    async def take(self, weight: int, lane: Lane, deadline_s: float, orders: int) -> None:
        """Return once a request of this weight may leave.

        Raises:
            NotGranted: not within the deadline.
            ValueError: a weight that no window of this venue has room for.
        """
        terms = self.budget.terms
        most = terms.limit if lane == "orders" else terms.data_limit
        if not 0 < weight <= most:
            raise ValueError(f"{self._venue}: a request of weight {weight} cannot be made; want 1 to {most}")
        began, granted, now = time.monotonic(), False, self._now()
        self._used_at = now
        is_hopeless = self.budget.gate.opens_at(now, lane) > now + int(deadline_s * SECOND_NS)
        try:
            async with asyncio.timeout(0 if is_hopeless else deadline_s):
                await (self._take_data(weight) if lane == "data" else self._take_orders(weight, orders))
            granted = True
        except TimeoutError:
            raise NotGranted(
                f"{self._venue}: no room for weight {weight} in {deadline_s:g} s ({self._why()})"
            ) from None
        finally:
            self._metrics.waited(self._venue, lane, time.monotonic() - began, granted=granted)

    def told(self, status: int, retry_after_s: float | None, used: int | None, order_count: int | None) -> bool:
        """The venue has answered; whether others should hear of it at once."""
        now = self._now()
        self._used_at = now
        if order_count is not None:
            self.budget.order_count.told(now, order_count)
        has_changed = self.budget.told(now, status, retry_after_s, used)
        if has_changed:
            own = self.budget.gate.own
            seconds = (own.until - now) / SECOND_NS if own else 0
            self._logger.warning("venue_breaker", venue=self._venue, status=status, open_s=round(seconds, 1))
        self._changed.set()
        return has_changed

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def _take_data(self, weight: int) -> None:
        async with self._queue:
            while True:
                if not self.budget.gate.opens_at(self._now(), "data"):
                    if self.budget.left(self._now(), "data") < weight:
                        await self._lease("data", weight)
                    if self.budget.go(self._now(), "data", weight):
                        return
                await self._pause("data")

    async def _take_orders(self, weight: int, orders: int) -> None:
        budget, began = self.budget, self._now()
        while True:
            now = self._now()
            if not budget.gate.opens_at(now, "orders") and (not orders or budget.order_count.has_room(now)):
                if budget.left(now, "orders") < weight:
                    await self._lease_for_order(weight)
                now = self._now()
                has_waited = now - began >= HOLD_NS["orders"]
                if budget.go(now, "orders", weight) or (has_waited and budget.overdraw(now, weight)):
                    budget.order_count.add(now, orders)
                    return
            await self._pause("orders")

    async def _pause(self, lane: Lane) -> None:
        now = self._now()
        until = self.budget.gate.opens_at(now, lane) or self.budget.frees_at(now)
        self._changed.clear()
        least, most = PAUSE_S
        try:
            async with asyncio.timeout(min(max((until - now) / SECOND_NS, least), most)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _why(self) -> str:
        now, own = self._now(), self.budget.gate.own
        if own is not None and own.until > now:
            return f"the venue said {own.status}, {(own.until - now) / SECOND_NS:.0f} s to go"
        reach = "shared" if self.is_shared else "the bus is away"
        return f"{self.budget.used(now)} of {self.budget.terms.limit} used, {reach}"

    # --- leasing ----------------------------------------------------------------------------------------------------

    async def _lease_for_order(self, weight: int) -> None:
        """Ask the bus for as long as an order can bear; then take it from the orders' reserve, which nobody else can use."""
        try:
            async with asyncio.timeout(ORDER_ASK_S):
                is_settled = await self._lease("orders", weight)
        except TimeoutError:
            is_settled = False
            self._lost("no answer in the time an order has")
        if not is_settled and self.budget.left(self._now(), "orders") < weight:
            self._take_alone("orders", weight)

    async def _lease(self, lane: Lane, weight: int) -> bool:
        """Get what `weight` needs into our row, here and on the bus, if there is room; False: it could not be settled."""
        for _ in range(SWAPS_MAX):
            if not self.is_shared:
                self._take_alone(lane, weight)
                return True
            async with self._writing:
                if self.budget.left(self._now(), lane) >= weight:
                    return True
                lease = self._reserve(lane, weight, is_shared=True)
                if lease is None:
                    return True
                written = False
                try:
                    written = await self._write()
                except _Away:
                    continue
                finally:
                    (self.budget.settle if written else self.budget.give_back)(lease)
                if written:
                    return True
        return False

    def _take_alone(self, lane: Lane, weight: int) -> None:
        lease = self._reserve(lane, weight, is_shared=False)
        if lease is not None:
            self.budget.settle(lease)

    def _reserve(self, lane: Lane, weight: int, *, is_shared: bool) -> Lease | None:
        """Set weight aside in the host's file. Without the file and the bus only orders go on."""
        now = self._now()
        try:
            with self._host.locked():
                rows = self._host.read()
                self._see(now, rows)
                lease = self.budget.lease(now, lane, weight, is_shared=is_shared)
                if lease is not None:
                    self._host.write({**rows, self.budget.writer: self.budget.row(now)})
                return lease
        except HostRowsBusy as error:
            self._complain(str(error))
            if lane == "data" and not is_shared:
                return None
            return self.budget.lease(now, lane, weight, is_shared=is_shared)

    def _see(self, now: int, rows: dict[str, Row]) -> None:
        """Our own row in the file counts too, if it is our predecessor's and the bus has not told us of it."""
        own = rows.get(self.budget.writer)
        if not self._is_host_known:
            self._is_host_known, self._before = True, own
        before = {f"{self.budget.writer} before": self._before} if self._before and not self._has_adopted else {}
        self.budget.seen_on_host(now, {**rows, **before})

    # --- the bus ----------------------------------------------------------------------------------------------------

    async def _write(self) -> bool:
        """Write our row on the bus, once; False: others have written meanwhile, and we have read them.

        Raises:
            _Away
        """
        row = self.budget.row(self._now())
        try:
            async with asyncio.timeout(ASK_S):
                try:
                    self._seq = await self._rows.write(self._venue, row, self._seq)
                except Fenced:
                    await self._read()
                    return False
        except (BusError, TimeoutError) as error:
            self._lost(f"{type(error).__name__} {error}".strip())
            raise _Away from None
        self._written, self._has_adopted = row, True
        return True

    async def _read(self) -> None:
        rows, self._seq = await self._rows.read(self._venue)
        own, now = rows.get(self.budget.writer), self._now()
        if own is not None and not self._has_adopted:
            self.budget.adopt(own)
            self._has_adopted = True
        if own != self._written:  # an answer that never came, a predecessor: our next row replaces it
            self._written = None
        self.budget.learned(now, rows)
        self._changed.set()

    @property
    def _rows(self) -> SharedRows:
        if self._shared is None:
            raise BusError("this budget has no bus")
        return self._shared

    def _lost(self, why: str) -> None:
        self.is_shared = False
        self._written = None
        self._complain(f"the bus is away: {why}")

    def _complain(self, trouble: str) -> None:
        """One line for each new trouble."""
        if trouble != self._trouble:
            self._logger.warning("venue_budget_alone", venue=self._venue, reason=trouble[:300])
        self._trouble = trouble

    async def sync(self) -> None:
        """Hear of others, and let them hear of us; back to sharing if the bus is back."""
        now = self._now()
        if now - self._used_at < IN_USE_WINDOWS * self.budget.terms.window_ns:
            if self._shared is not None:
                await self._sync_with_bus()
            self._sync_with_host()
        self._metrics.stands(
            self._venue,
            used=self.budget.used(now),
            limit=self.budget.terms.limit,
            is_open=bool(self.budget.gate.opens_at(now, "data")),
            is_shared=self.is_shared,
        )

    async def _sync_with_bus(self) -> None:
        if not self._rows.is_connected:
            self._lost("not connected")
            return
        async with self._writing:
            try:
                async with asyncio.timeout(ASK_S):
                    if await self._rows.last_seq(self._venue) != self._seq or self._written is None:
                        await self._read()
                for _ in range(SWAPS_MAX):
                    if self.budget.row(self._now()) == self._written or await self._write():
                        break
                else:
                    return  # so many others write that we are never the last; the next time
            except _Away:
                return
            except (BusError, TimeoutError) as error:
                self._lost(f"{type(error).__name__} {error}".strip())
                return
        if not self.is_shared:
            self._logger.info("venue_budget_shared", venue=self._venue)
        self.is_shared, self._trouble = True, ""

    def _sync_with_host(self) -> None:
        now = self._now()
        try:
            with self._host.locked():
                rows = self._host.read()
                self._see(now, rows)
                row = self.budget.row(now)
                if rows.get(self.budget.writer) != row:
                    self._host.write({**rows, self.budget.writer: row})
        except HostRowsBusy as error:
            self._complain(str(error))
