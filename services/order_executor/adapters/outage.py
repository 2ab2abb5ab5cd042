"""Life without the log: the venue adapter's companion, which protects what was bought while nothing can be written down.

    log reachable       reports go straight on; requests go straight to the venue
    log away            whatever the venue says is held, in order; after a second, protection that is missing is improvised:
                        journal (synced) ─▶ venue ─▶ journal, one order at a time, sells only (`improvise`)
    log back            one `ProtectionImprovised` for each order of the journal, then what was held, then life as before

Until the machine knows the improvised orders of an instrument, nothing else is submitted there. The lease is not asked: without
the log it cannot be renewed, and the argument why that is safe is in docs/decisions/0012-life-without-the-log.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import (
    Answer,
    Message,
    OrderAnswered,
    PairAnswered,
    ProtectionImprovised,
    ReplaceAnswered,
    UserStreamChanged,
    VenueReported,
)
from libs.runtime.adapter import Adapter, AdapterContext
from libs.runtime.core import Asked
from libs.runtime.weight_breaker import Lane
from services.order_executor.adapters.journal import Journal
from services.order_executor.improvise import Improvised, missing
from services.order_executor.refusals import kind_of
from services.order_executor.requests import NEVER_SENT, ReplaceOrder, SubmitOrder, SubmitPair
from services.order_executor.settings import Settings

LOOK_S = 0.2
AWAY_S = 1.0
"""A log that is away for less is only slow."""
FROZEN_S = 2.0
"""If we have not looked for so long we were frozen ourselves: what we know is old, and others may have acted."""
RETRY_S = 2.0
SEND_TTL_S = 10
TOLD_S_MAX = 30.0
"""The log was there for so long and the machine does not show an order we told it: it will not take it; life must go on."""
HELD_MAX = 5_000
"""What is said beyond is dropped, and the account is read for it afterwards."""
RECENT_MAX = 1_000
RECENT_S = 10.0
SECOND = 1_000_000_000

_improvising: ContextVar[bool] = ContextVar("improvising", default=False)


class LoglessVenue:
    """The venue adapter `inner`, able to protect while the log is away. `settings.home` holds the journal."""

    def __init__(self, inner: Adapter, settings: Settings):
        self._inner = inner
        self._journal = Journal(settings.home / "order-executor")
        self._context: AdapterContext
        self._held: deque[Message] = deque()
        self._has_dropped = False
        self._recent: deque[tuple[float, VenueReported]] = deque(maxlen=RECENT_MAX)
        self._asked: set[str] = set()
        self._inherited: set[str] = set()
        self._told_at: dict[str, float] = {}
        self._away_since: float | None = None
        self._was_frozen = False
        self._retry_at = 0.0
        self._watch: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()

    async def open(self, context: AdapterContext) -> None:
        """What an earlier life improvised and did not tell is said first; then the venue is listened to."""
        self._context = context
        orders = context.state().orders
        self._inherited = {name for name, order in orders.items() if order.status == "PENDING_NEW"}
        self._tell()
        self._opened.set()
        own = msgspec.structs.replace(
            context, emit=self._hear, holds_lease=self._may_send, budget=_Budget(context.budget)
        )
        await self._inner.open(own)
        self._watch = asyncio.create_task(self._keep_watch(), name="watch over the log")

    async def perform(self, asked: Asked) -> Answer:
        """Carry out one request, unless it would sell what an order the machine does not know yet is selling."""
        await self._opened.wait()
        if self._watch is not None and self._watch.done():
            self._watch.result()  # a defect there is a defect of the process
        if (
            self._context.log_is_reachable()
        ):  # what was asked stands in the log: its answer must not overtake what we held
            self._return()
        request = asked.request
        if isinstance(request, SubmitOrder | SubmitPair | ReplaceOrder):
            if any(step.instrument == request.instrument for step in self._untold()):
                return self._refused(asked.request_id, request)
            self._asked.add(request.stop_id if isinstance(request, SubmitPair) else request.cl_ord_id)
            if isinstance(request, SubmitPair):
                self._asked.add(request.target_id)
        return await self._inner.perform(asked)

    async def close(self) -> None:
        """Stop watching, and close the venue; what is held goes to the log if it is there, else the next life asks for it."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._inner.close()
        if self._opened.is_set() and self._context.log_is_reachable():
            self._return()

    # --- hearing ----------------------------------------------------------------------------------------------------

    def _hear(self, message: Message) -> None:
        """Pass on what the venue says, or hold it while the log is away."""
        is_away = bool(self._held) or self._away_since is not None or not self._context.log_is_reachable()
        if not is_away:
            if isinstance(message, VenueReported):
                self._recent.append((time.monotonic(), message))
            self._context.emit(message)
        elif len(self._held) < HELD_MAX:
            self._held.append(message)
        else:
            self._has_dropped = True

    def _heard(self) -> list[VenueReported]:
        """What the machine may not know yet: passed on shortly before the log went away, or held since."""
        passed = [report for _, report in self._recent]
        return passed + [each for each in self._held if isinstance(each, VenueReported)]

    async def _keep_watch(self) -> None:
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            self._was_frozen |= now - looked_at > FROZEN_S
            if self._context.log_is_reachable():
                self._away_since = None
                self._was_frozen = False
                self._return()
                self._forget_told(now)
            else:
                self._away_since = self._away_since or now
                if now - self._away_since >= AWAY_S and now >= self._retry_at and not self._was_frozen:
                    await self._improvise()
            looked_at = time.monotonic()

    def _return(self) -> None:
        """The log is there: first what we did, then what we heard."""
        self._tell()
        while self._held:
            message = self._held.popleft()
            if isinstance(message, VenueReported):
                self._recent.append((time.monotonic(), message))
            self._context.emit(message)
        if self._has_dropped:
            self._has_dropped = False
            self._context.logger.error("reports_dropped", kept=HELD_MAX)
            now = self._context.clock.now()
            reason = f"more than {HELD_MAX} reports came while the log was away"
            self._context.emit(UserStreamChanged(ts_event=now, ts_init=now, connected=True, reason=reason))
        while self._recent and self._recent[0][0] < time.monotonic() - RECENT_S:
            self._recent.popleft()

    # --- acting -----------------------------------------------------------------------------------------------------

    async def _improvise(self) -> None:
        state = self._context.state()
        pending = {name for name, order in state.orders.items() if order.status == "PENDING_NEW"}
        unsent = pending - self._asked - self._inherited
        for step in missing(state, self._heard(), self._journal.steps, unsent=unsent, used=self._journal.used):
            if self._context.log_is_reachable():
                return  # it came back while the step before was sent: from here on the machine sees to it
            try:
                self._journal.write(step)
            except OSError as error:  # a full disk: what cannot be written down is not done
                self._context.logger.error("journal_not_written", reason=str(error.strerror))
                self._retry_at = time.monotonic() + RETRY_S
                return
            answer = await self._send(step)
            self._journal.write(msgspec.structs.replace(step, outcome=answer.outcome, code=answer.code[:64]))
            log = {"cl_ord_id": step.cl_ord_id, "instrument": step.instrument, "role": step.role}
            self._context.logger.warning("improvised", outcome=answer.outcome, code=answer.code, **log)
            is_for_sale = step.role == "STOP" and kind_of(answer.code, "") == "ORDER"
            if answer.outcome == "REJECTED" and not is_for_sale:
                self._retry_at = time.monotonic() + RETRY_S

    async def _send(self, step: Improvised) -> OrderAnswered:
        request = SubmitOrder(
            valid_until=self._context.clock.now() + SEND_TTL_S * SECOND,
            cl_ord_id=step.cl_ord_id,
            instrument=step.instrument,
            side="SELL",
            ord_type=step.ord_type,
            time_in_force="GTC",
            order_qty=step.order_qty,
            limit_px=None,
            stop_px=step.stop_px,
        )
        token = _improvising.set(True)
        try:
            answer = await self._inner.perform(Asked(f"improvise:{step.cl_ord_id}", request, 0, 0, "", ""))
        finally:
            _improvising.reset(token)
        assert isinstance(answer, OrderAnswered)
        return answer

    async def _may_send(self) -> bool:
        return _improvising.get() or await self._context.holds_lease()

    # --- telling ----------------------------------------------------------------------------------------------------

    def _untold(self) -> list[Improvised]:
        """The steps the machine does not know."""
        orders = self._context.state().orders
        return [step for step in self._journal.steps if step.cl_ord_id not in orders]

    def _tell(self) -> None:
        """Say every step that the machine does not know and that was not said in this life; a step without an answer is UNKNOWN."""
        now = self._context.clock.now()
        for step in self._untold():
            if step.cl_ord_id in self._told_at:
                continue
            self._told_at[step.cl_ord_id] = time.monotonic()
            self._context.emit(
                ProtectionImprovised(
                    id=derive_id("improvised", step.cl_ord_id),
                    ts_event=now,
                    ts_init=now,
                    instrument=step.instrument,
                    cl_ord_id=step.cl_ord_id,
                    owner=step.owner,
                    role=step.role,
                    ord_type=step.ord_type,
                    order_qty=step.order_qty,
                    stop_px=step.stop_px,
                    outcome=step.outcome or "UNKNOWN",
                    code=step.code,
                )
            )

    def _forget_told(self, now: float) -> None:
        """Leave out of the journal what the machine knows, or has had time enough to refuse."""
        state = self._context.state()
        told = []
        for step in self._journal.steps:
            late = now - self._told_at.get(step.cl_ord_id, now) > TOLD_S_MAX
            if step.cl_ord_id in state.orders or late:
                told.append(step.cl_ord_id)
            if late and step.cl_ord_id not in state.orders:
                self._context.logger.error("improvised_not_taken", cl_ord_id=step.cl_ord_id)
        if told:
            self._journal.forget(told, state.orders)
        self._asked &= set(state.orders)

    def _refused(self, request_id: str, request: SubmitOrder | SubmitPair | ReplaceOrder) -> Answer:
        now = self._context.clock.now()
        common: dict[str, Any] = {
            "request_id": request_id,
            "instrument": request.instrument,
            "ts_event": now,
            "ts_init": now,
        }
        common |= {"outcome": "REJECTED", "code": NEVER_SENT, "detail": "improvised protection is being told first"}
        if isinstance(request, SubmitPair):
            return PairAnswered(list_id=request.stop_id, orders=(), fills=(), **common)
        if isinstance(request, ReplaceOrder):
            names = {"cl_ord_id": request.cl_ord_id, "replaced_id": request.replaced_id}
            return ReplaceAnswered(**names, orders=(), fills=(), **common)
        return OrderAnswered(cl_ord_id=request.cl_ord_id, order=None, fills=(), **common)


class _Budget:
    """The venue's budget, which an improvised order does not wait for: its books are where the log is."""

    def __init__(self, shared: Any):
        self._shared = shared
        self.told = shared.told

    async def take(
        self, venue: str, weight: int, lane: Lane = "data", deadline_s: float = 60.0, *, orders: int = 0
    ) -> None:
        """As `VenueBudget.take`."""
        if not _improvising.get():
            await self._shared.take(venue, weight, lane, deadline_s, orders=orders)


def logless(venue: Callable[[Settings], Adapter]) -> Any:
    """The factory of `venue`'s adapter with this companion around it."""
    return partial(_made, venue)


def _made(venue: Callable[[Settings], Adapter], settings: Settings) -> LoglessVenue:
    return LoglessVenue(venue(settings), settings)
