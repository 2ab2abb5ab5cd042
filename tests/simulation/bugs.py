"""Bugs planted on purpose, each one that a peer has shipped: if the simulation cannot find them, its checkers are decoration.

A bug replaces one function of the real code for the length of a `with` block; the code itself knows no switch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from unittest import mock

import msgspec

from libs.common.messages import (
    AccountRead,
    AlertRaised,
    ExecutionReport,
    Message,
    OrderAnswered,
    OrderLookedUp,
    ReplaceAnswered,
    VenueOrder,
)
from libs.runtime import recovery
from libs.runtime.core import Asked
from libs.runtime.engine import Engine, Position
from libs.runtime.machine import Effect, Perform, Publish
from services.ledger.machine import LedgerMachine
from services.order_executor import approvals, protection
from services.order_executor.machine import OrderExecutorMachine
from services.order_executor.orders import Order
from services.order_executor.requests import SubmitOrder
from services.order_executor.turn import Turn

Planting = Callable[[], contextlib.AbstractContextManager[Any]]


def double_booking() -> contextlib.AbstractContextManager[Any]:
    """The executor reports some fills twice, as if exec ids did not matter."""
    handle = OrderExecutorMachine.handle

    def tells_twice(self: OrderExecutorMachine, event: Message, now: int) -> list[Effect]:
        effects = handle(self, event, now)
        trades = [
            each
            for each in effects
            if isinstance(each, Publish)
            and isinstance(each.message, ExecutionReport)
            and each.message.exec_type == "TRADE"
        ]
        return [*effects, *trades[:1]] if len(self.state.booked) % 5 == 0 else effects

    return mock.patch.object(OrderExecutorMachine, "handle", tells_twice)


def ledger_posts_twice() -> contextlib.AbstractContextManager[Any]:
    """The ledger posts some fills twice."""
    post = LedgerMachine._post

    def posts_twice(self: LedgerMachine, report: ExecutionReport, now: int) -> list[Effect]:
        effects = post(self, report, now)
        return effects + effects[:1] if int(report.exec_id) % 7 == 0 else effects

    return mock.patch.object(LedgerMachine, "_post", posts_twice)


def lost_output_after_crash() -> contextlib.AbstractContextManager[Any]:
    """A restart believes that an input is finished when its first output is in the log."""
    tail = recovery._tail

    async def believes(log: Any, writer: str) -> tuple[int, Position]:
        seq, position = await tail(log, writer)
        return seq, Position(position.in_seq, 2**31)

    return mock.patch.object(recovery, "_tail", believes)


def id_from_randomness() -> contextlib.AbstractContextManager[Any]:
    """Client order ids are drawn instead of derived: after a crash the same intent has another one."""
    drawn = iter(range(10**9))

    def draw(intent_id: str, role: str, attempt: int = 0) -> str:
        return f"{next(drawn):032x}"

    return mock.patch.object(approvals, "cl_ord_id_of", draw)


def guess_on_timeout() -> contextlib.AbstractContextManager[Any]:
    """A submission without an answer is taken for a refused one."""
    handle = OrderExecutorMachine.handle

    def guesses(self: OrderExecutorMachine, event: Message, now: int) -> list[Effect]:
        if isinstance(event, OrderAnswered) and event.outcome == "UNKNOWN":
            event = msgspec.structs.replace(
                event, outcome="REJECTED", code="-1", detail="timed out, so surely not there"
            )
        return handle(self, event, now)

    return mock.patch.object(OrderExecutorMachine, "handle", guesses)


def gone_on_timeout() -> contextlib.AbstractContextManager[Any]:
    """A stop whose replacement got no answer is taken for gone, and the replacement for refused."""
    handle = OrderExecutorMachine.handle

    def believes(self: OrderExecutorMachine, event: Message, now: int) -> list[Effect]:
        if isinstance(event, ReplaceAnswered) and event.outcome == "UNKNOWN":
            old = self.state.orders[event.replaced_id]
            named = {name: getattr(old, name) for name in VenueOrder.__struct_fields__ if hasattr(old, name)}
            gone = VenueOrder(**named, ord_status="CANCELED", ts_event=now)
            event = msgspec.structs.replace(event, outcome="HALFWAY", orders=(gone,))
        return handle(self, event, now)

    return mock.patch.object(OrderExecutorMachine, "handle", believes)


def resend_after_crash() -> contextlib.AbstractContextManager[Any]:
    """A restart performs every request that has no answer, as if none of them could have left."""
    return mock.patch.object(Engine, "_has_not_left", lambda self, asked: isinstance(asked, Asked))


def resubmit_on_timeout() -> contextlib.AbstractContextManager[Any]:
    """A submission without an answer is sent again: surely the first one is lost."""
    handle = OrderExecutorMachine.handle

    def sends_again(self: OrderExecutorMachine, event: Message, now: int) -> list[Effect]:
        single = isinstance(event, OrderAnswered) and event.request_id.startswith("submit:")
        order = self.state.orders.get(event.cl_ord_id) if single else None
        if order is None or event.outcome != "UNKNOWN":  # type: ignore[attr-defined]
            return handle(self, event, now)
        wanted = {name: getattr(order, name) for name in SubmitOrder.__struct_fields__ if name != "valid_until"}
        again = Perform(f"submit:{order.cl_ord_id}", SubmitOrder(valid_until=now + 10**10, **wanted))
        return [Publish(AlertRaised(code="SENT_AGAIN", severity="note", text="no answer: sent again")), again]

    return mock.patch.object(OrderExecutorMachine, "handle", sends_again)


def stop_sized_by_order() -> contextlib.AbstractContextManager[Any]:
    """A stop has the size of the order that bought, not of the position that is held."""
    stop_order = protection.stop_order

    def sized_by_order(turn: Turn, owner: Order, qty: Decimal, stop_px: Decimal, rung: int) -> Order:
        return stop_order(turn, owner, owner.order_qty, stop_px, rung)

    return mock.patch.object(protection, "stop_order", sized_by_order)


def not_found_is_canceled() -> contextlib.AbstractContextManager[Any]:
    """A look-up that does not find the order is read as its end, however early it was asked."""
    handle = OrderExecutorMachine.handle

    def believes(self: OrderExecutorMachine, event: Message, now: int) -> list[Effect]:
        order = self.state.orders.get(event.cl_ord_id) if isinstance(event, OrderLookedUp) else None
        if order is not None and isinstance(event, OrderLookedUp) and event.outcome == "NOT_FOUND":
            named = {name: getattr(order, name) for name in VenueOrder.__struct_fields__ if hasattr(order, name)}
            ended = VenueOrder(**named, ord_status="CANCELED", ts_event=now)
            event = msgspec.structs.replace(event, outcome="FOUND", order=ended)
        return handle(self, event, now)

    return mock.patch.object(OrderExecutorMachine, "handle", believes)


def trusts_failed_reading() -> contextlib.AbstractContextManager[Any]:
    """An account reading that failed is taken for one of an empty account."""
    handle = OrderExecutorMachine.handle

    def trusts(self: OrderExecutorMachine, event: Message, now: int) -> list[Effect]:
        return handle(self, msgspec.structs.replace(event, ok=True) if isinstance(event, AccountRead) else event, now)

    return mock.patch.object(OrderExecutorMachine, "handle", trusts)


BUGS: dict[str, Planting] = {
    "resubmit_on_timeout": resubmit_on_timeout,
    "stop_sized_by_order": stop_sized_by_order,
    "not_found_is_canceled": not_found_is_canceled,
    "trusts_failed_reading": trusts_failed_reading,
    "double_booking": double_booking,
    "ledger_posts_twice": ledger_posts_twice,
    "lost_output_after_crash": lost_output_after_crash,
    "id_from_randomness": id_from_randomness,
    "guess_on_timeout": guess_on_timeout,
    "resend_after_crash": resend_after_crash,
    "gone_on_timeout": gone_on_timeout,
}


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Run with the bug `name` in the code; None plants nothing."""
    with BUGS[name]() if name else contextlib.nullcontext():
        yield
