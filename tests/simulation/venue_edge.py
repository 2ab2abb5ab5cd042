"""The executor's simulated world: a venue behind a network that delays, loses, repeats and reorders, and answers or does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import msgspec

from libs.common.messages import Answer, BalanceMoved, UserStreamChanged, VenueReported
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from libs.runtime.simulate import Node
from libs.runtime.simulated_log import Scheduler
from libs.trading.venue import SpotVenue, VenueRejected, VenueUpdate
from services.order_executor.requests import NEVER_SENT, LookUpOrder, ReplaceOrder, SubmitOrder, SubmitPair
from services.order_executor.venue_desk import (
    act,
    answered,
    confirmed,
    is_action,
    kind_at_venue,
    names_of,
    told,
    untold,
)

KEY_REVOKED, RATE_LIMITED, SILENT, LOOK_UPS_FAIL = "key revoked", "rate limited", "silent", "look-ups fail"
NO_SUCH_TYPE = "Stop loss orders are not supported for this symbol."
NO_FUNDS_PART = "insufficient balance"


class VenueFaults(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue and the way to it misbehave; probabilities per occasion.

    A late request arrives after our deadline, but within the venue's receive window. A garbled answer is a 200 that nobody
    understands: the venue has done as it was asked. A lost report is missing from a user stream that goes on.
    """

    request_lost: float = 0.0
    request_late: float = 0.0
    answer_lost: float = 0.0
    answer_garbled: float = 0.0
    query_fails: float = 0.0
    rejects: float = 0.0
    report_repeated: float = 0.0
    report_lost: float = 0.0
    stream_drops: float = 0.0
    delay_ms_max: float = 60.0
    report_delay_ms_max: float = 400.0
    deadline_ms: float = 10_000.0
    recv_window_ms: float = 5_000.0


class VenueEdge:
    """One account at a `SpotVenue`.

    `accepted` are the client ids of all orders it accepted, in order, `unpaid` lists sells refused because the coins were not
    there, `waiting` counts by instrument the requests without an answer. `troubles` are what is wrong with the whole venue
    now, `refused_types` the kinds of order it does not take.
    """

    def __init__(self, scheduler: Scheduler, venue: SpotVenue, faults: VenueFaults):
        self.scheduler = scheduler
        self.venue = venue
        self.faults = faults
        self.accepted: list[str] = []
        self.unpaid: list[tuple[str, str]] = []
        self.waiting: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self.refused_types: Counter[str] = Counter()
        self._node: Node | None = None
        self._life = 0
        self._connected = False

    def opened(self, node: Node) -> None:
        """The user stream connects; what happened before must be asked for."""
        self._life += 1
        self._node = node
        self._connect(self._life)

    def closed(self) -> None:
        """Nobody listens any more."""
        self._life += 1
        self._node = None
        self._connected = False
        self.waiting.clear()

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        """Carry a request to the venue and an answer back, or lose one of them."""
        instrument, life = getattr(asked.request, "instrument", ""), self._life
        self.waiting[instrument] += 1

        def answer_with(answer: Answer) -> None:
            if life == self._life:
                self.waiting[instrument] -= 1
            now = self.scheduler.now
            reply(msgspec.structs.replace(answer, ts_event=now, ts_init=now))

        def give_up() -> None:
            answer_with(untold(asked.request_id, asked.request, "deadline", code="NO_ANSWER"))

        if self._chance(self.faults.request_lost) or self.troubles[SILENT]:
            self.scheduler.after_ms(self.faults.deadline_ms, give_up)
        elif self.faults.deadline_ms < self.faults.recv_window_ms and self._chance(self.faults.request_late):
            late_ms = self.scheduler.random.uniform(self.faults.deadline_ms, self.faults.recv_window_ms)
            self.scheduler.after_ms(self.faults.deadline_ms, give_up)
            self.scheduler.after_ms(late_ms, lambda: self._answer(asked) and None)
        else:
            self.scheduler.soon(self.faults.delay_ms_max, lambda: self._arrive(asked, answer_with, give_up))

    def updated(self, updates: list[VenueUpdate]) -> None:
        """The account moved: tell the user stream, if anybody listens; it may repeat itself and mix up the order."""
        for update in updates:
            if self._chance(self.faults.stream_drops):
                self.drop()
            if not self._connected or self._node is None or self._chance(self.faults.report_lost):
                continue
            times = 2 if self._chance(self.faults.report_repeated) else 1
            for _ in range(times):
                self.scheduler.soon(self.faults.report_delay_ms_max, self._reporter(update, self._life))

    def transferred(self, asset: str, amount: Decimal) -> None:
        """Money came in or went out: told by the user stream once, to whoever listens now."""
        if self._connected:
            self._emit(BalanceMoved(asset=asset, amount=amount, **self._times()))

    def drop(self) -> None:
        """The user stream breaks, to come back some seconds later."""
        if self._connected:
            self._connected = False
            life = self._life
            self._emit(UserStreamChanged(connected=False, reason="reset by peer", **self._times()))
            self.scheduler.soon(5_000.0, lambda: self._connect(life))

    # --- at the venue -------------------------------------------------------------------------------------------

    def _arrive(self, asked: Asked, answer_with: Callable[[Answer], None], give_up: Callable[[], None]) -> None:
        answer = self._answer(asked)
        if self._chance(self.faults.answer_lost):
            self.scheduler.after_ms(self.faults.deadline_ms, give_up)
            return
        if is_action(asked.request) and self._chance(self.faults.answer_garbled):
            answer = untold(asked.request_id, asked.request, "200, and no order in it", code="BAD_ANSWER")
        self.scheduler.soon(self.faults.delay_ms_max, lambda: answer_with(answer))

    def _answer(self, asked: Asked) -> Answer:
        request_id, request = asked.request_id, asked.request
        if self.troubles[KEY_REVOKED]:
            text = "Invalid API-key, IP, or permissions for action."
            return untold(request_id, request, text, "REJECTED", "-2015")
        if self.troubles[RATE_LIMITED]:
            code = self.scheduler.random.choice((NEVER_SENT, "-1003", "HTTP_429"))
            return untold(request_id, request, "Too many requests; please wait.", "REJECTED", code)
        if is_action(request):
            return self._act(request_id, request)
        fails = self.faults.query_fails
        if self._chance(fails) or (isinstance(request, LookUpOrder) and self.troubles[LOOK_UPS_FAIL]):
            return untold(request_id, request, "503")
        return told(self.venue, request_id, request)

    def _act(self, request_id: str, request: Request) -> Answer:
        submits = isinstance(request, SubmitOrder | SubmitPair | ReplaceOrder)
        try:
            if submits and self._chance(self.faults.rejects):
                raise VenueRejected(-2010, "the simulated venue does not feel like it")
            if self.refused_types[kind_at_venue(request)]:
                raise VenueRejected(-2010, NO_SUCH_TYPE)
            updates, refused = act(self.venue, request, self.scheduler.now)  # type: ignore[arg-type]
        except VenueRejected as rejected:
            sells = isinstance(request, SubmitPair) or (isinstance(request, SubmitOrder) and request.side == "SELL")
            if sells and NO_FUNDS_PART in rejected.message:
                self.unpaid.append((request.instrument, names_of(request)[0]))  # type: ignore[attr-defined]
            return answered(request_id, request, "REJECTED", code=str(rejected.code), detail=rejected.message)  # type: ignore[arg-type]
        if refused is None:
            self.accepted.extend(names_of(request))
        self.updated(updates)
        return confirmed(self.venue, request_id, request, updates, refused)  # type: ignore[arg-type]

    # --- the user stream ----------------------------------------------------------------------------------------

    def _connect(self, life: int) -> None:
        if life != self._life or self._node is None:
            return
        if self.troubles[KEY_REVOKED] or self.troubles[SILENT]:
            self.scheduler.soon(5_000.0, lambda: self._connect(life))
            return
        self._connected = True
        self._emit(UserStreamChanged(connected=True, reason="connected", **self._times()))

    def _reporter(self, update: VenueUpdate, life: int) -> Callable[[], None]:
        def report() -> None:
            if life == self._life and self._connected:
                self._emit(
                    VenueReported(
                        instrument=update.order.instrument, order=update.order, fill=update.fill, **self._times()
                    )
                )

        return report

    def _emit(self, message: VenueReported | UserStreamChanged | BalanceMoved) -> None:
        if self._node is not None:
            self._node.emit(message)

    def _times(self) -> dict[str, int]:
        return {"ts_event": self.scheduler.now, "ts_init": self.scheduler.now}

    def _chance(self, probability: float) -> bool:
        return self.scheduler.random.random() < probability


def total(venue: SpotVenue, asset: str) -> Decimal:
    """Free and locked amount of an asset."""
    return sum((each.free + each.locked for each in venue.balances() if each.asset == asset), Decimal(0))
