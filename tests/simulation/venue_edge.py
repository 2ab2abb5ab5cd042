"""The executor's simulated world: a venue behind a network that delays, loses, repeats and reorders, and answers or does not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from libs.common.messages import (
    AccountRead,
    Answer,
    OrderAnswered,
    OrderLookedUp,
    UserStreamChanged,
    VenueFill,
    VenueReported,
)
from libs.runtime.core import Asked
from libs.runtime.simulate import Node
from libs.runtime.simulated_log import Scheduler
from libs.trading.venue import NewOrder, SpotVenue, VenueRejected, VenueUpdate
from services.order_executor.requests import CancelOrder, LookUpOrder, ReadAccount, SubmitOrder


class VenueFaults(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue and the way to it misbehave; probabilities per occasion."""

    request_lost: float = 0.0
    answer_lost: float = 0.0
    query_fails: float = 0.0
    rejects: float = 0.0
    report_repeated: float = 0.0
    stream_drops: float = 0.0
    delay_ms_max: float = 60.0
    report_delay_ms_max: float = 400.0
    deadline_ms: float = 10_000.0


class VenueEdge:
    """One account at a `SpotVenue`. `accepted` counts how often each client order id was accepted."""

    def __init__(self, scheduler: Scheduler, venue: SpotVenue, faults: VenueFaults):
        self.scheduler = scheduler
        self.venue = venue
        self.faults = faults
        self.accepted: dict[str, int] = {}
        self.first_query_failed = 0
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

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        """Carry a request to the venue and an answer back, or lose one of them."""
        lost = self._chance(self.faults.request_lost)
        request = asked.request
        if lost:
            self.scheduler.after_ms(self.faults.deadline_ms, lambda: reply(self._no_answer(asked)))
            return

        def arrive() -> None:
            match request:
                case SubmitOrder():
                    answer: Answer = self._submit(asked.request_id, request)
                case CancelOrder():
                    answer = self._cancel(asked.request_id, request)
                case LookUpOrder():
                    answer = self._look_up(asked.request_id, request)
                case ReadAccount():
                    answer = self._read(asked.request_id, request)
                case _:
                    raise AssertionError(f"the venue cannot {type(request).__name__}")
            if self._chance(self.faults.answer_lost):
                self.scheduler.after_ms(self.faults.deadline_ms, lambda: reply(self._no_answer(asked)))
            else:
                self.scheduler.soon(self.faults.delay_ms_max, lambda: reply(self._stamped(answer)))

        self.scheduler.soon(self.faults.delay_ms_max, arrive)

    def updated(self, updates: list[VenueUpdate]) -> None:
        """The account moved: tell the user stream, if anybody listens; it may repeat itself and mix up the order."""
        for update in updates:
            if self._chance(self.faults.stream_drops):
                self._drop()
            if not self._connected or self._node is None:
                continue
            times = 2 if self._chance(self.faults.report_repeated) else 1
            for _ in range(times):
                self.scheduler.soon(self.faults.report_delay_ms_max, self._reporter(update, self._life))

    # --- at the venue -------------------------------------------------------------------------------------------

    def _submit(self, request_id: str, request: SubmitOrder) -> OrderAnswered:
        order = NewOrder(
            cl_ord_id=request.cl_ord_id,
            instrument=request.instrument,
            side=request.side,
            ord_type=request.ord_type,
            time_in_force=request.time_in_force,
            order_qty=request.order_qty,
            limit_px=request.limit_px,
            stop_px=request.stop_px,
        )
        try:
            if self._chance(self.faults.rejects):
                raise VenueRejected(-2010, "the simulated venue does not feel like it")
            updates = self.venue.submit(order, self.scheduler.now)
        except VenueRejected as rejected:
            return self._answered(request_id, request, "REJECTED", None, (), str(rejected.code), rejected.message)
        self.accepted[request.cl_ord_id] = self.accepted.get(request.cl_ord_id, 0) + 1
        self.updated(updates)
        fills = tuple(update.fill for update in updates if update.fill is not None)
        return self._answered(request_id, request, "CONFIRMED", updates[-1], fills, "", "")

    def _cancel(self, request_id: str, request: CancelOrder) -> OrderAnswered:
        try:
            updates = self.venue.cancel(request.instrument, request.cl_ord_id, self.scheduler.now)
        except VenueRejected as rejected:
            return self._answered(request_id, request, "REJECTED", None, (), str(rejected.code), rejected.message)
        self.updated(updates)
        return self._answered(request_id, request, "CONFIRMED", updates[-1], (), "", "")

    def _look_up(self, request_id: str, request: LookUpOrder) -> OrderLookedUp:
        failed = self._chance(self.faults.query_fails)
        order = None if failed else self.venue.order(request.instrument, request.cl_ord_id)
        fills: tuple[VenueFill, ...] = ()
        if order is not None:
            fills = tuple(fill for fill in self.venue.fills(request.instrument) if fill.cl_ord_id == request.cl_ord_id)
        return OrderLookedUp(
            request_id=request_id,
            instrument=request.instrument,
            cl_ord_id=request.cl_ord_id,
            outcome="FAILED" if failed else "FOUND" if order is not None else "NOT_FOUND",
            order=order,
            fills=fills,
            detail="",
        )

    def _read(self, request_id: str, request: ReadAccount) -> AccountRead:
        if self._chance(self.faults.query_fails):
            return AccountRead(request_id=request_id, ok=False, balances=(), open_orders=(), fills=(), detail="503")
        fills = [
            fill
            for instrument in request.instruments
            for fill in self.venue.fills(instrument)
            if int(fill.exec_id) > int(request.fills_after.get(instrument, "-1") or "-1")
        ]
        return AccountRead(
            request_id=request_id,
            ok=True,
            balances=self.venue.balances(),
            open_orders=tuple(self.venue.open_orders()),
            fills=tuple(fills),
            detail="",
        )

    def _answered(
        self,
        request_id: str,
        request: SubmitOrder | CancelOrder,
        outcome: str,
        update: VenueUpdate | None,
        fills: tuple[VenueFill, ...],
        code: str,
        detail: str,
    ) -> OrderAnswered:
        return OrderAnswered(
            request_id=request_id,
            instrument=request.instrument,
            cl_ord_id=request.cl_ord_id,
            outcome=outcome,  # type: ignore[arg-type]
            order=update.order if update else None,
            fills=fills,
            code=code,
            detail=detail,
        )

    def _no_answer(self, asked: Asked) -> Answer:
        """What the adapter says when its deadline passes."""
        request = asked.request
        if isinstance(request, SubmitOrder | CancelOrder):
            answer: Answer = self._answered(asked.request_id, request, "UNKNOWN", None, (), "", "deadline")
        elif isinstance(request, LookUpOrder):
            answer = OrderLookedUp(
                request_id=asked.request_id,
                instrument=request.instrument,
                cl_ord_id=request.cl_ord_id,
                outcome="FAILED",
                order=None,
                fills=(),
                detail="deadline",
            )
        else:
            answer = AccountRead(
                request_id=asked.request_id, ok=False, balances=(), open_orders=(), fills=(), detail="deadline"
            )
        return self._stamped(answer)

    # --- the user stream ----------------------------------------------------------------------------------------

    def _connect(self, life: int) -> None:
        if life == self._life and self._node is not None:
            self._connected = True
            self._emit(UserStreamChanged(connected=True, reason="connected", **self._times()))

    def _drop(self) -> None:
        if self._connected:
            self._connected = False
            life = self._life
            self._emit(UserStreamChanged(connected=False, reason="reset by peer", **self._times()))
            self.scheduler.soon(5_000.0, lambda: self._connect(life))

    def _reporter(self, update: VenueUpdate, life: int) -> Callable[[], None]:
        def report() -> None:
            if life == self._life and self._connected:
                self._emit(
                    VenueReported(
                        instrument=update.order.instrument, order=update.order, fill=update.fill, **self._times()
                    )
                )

        return report

    def _emit(self, message: VenueReported | UserStreamChanged) -> None:
        if self._node is not None:
            self._node.emit(message)

    def _times(self) -> dict[str, int]:
        return {"ts_event": self.scheduler.now, "ts_init": self.scheduler.now}

    def _stamped(self, answer: Answer) -> Answer:
        return msgspec.structs.replace(answer, ts_event=self.scheduler.now, ts_init=self.scheduler.now)

    def _chance(self, probability: float) -> bool:
        return self.scheduler.random.random() < probability


def total(venue: SpotVenue, asset: str) -> Decimal:
    """Free and locked amount of an asset."""
    return sum((each.free + each.locked for each in venue.balances() if each.asset == asset), Decimal(0))
