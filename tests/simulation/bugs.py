"""Bugs planted on purpose, each one that a peer has shipped: if the simulation cannot find them, its checkers are decoration.

A bug replaces one function of the real code for the length of a `with` block; the code itself knows no switch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import msgspec

from libs.common.messages import ExecutionReport, Message, OrderAnswered
from libs.runtime import recovery
from libs.runtime.core import Asked
from libs.runtime.engine import Engine, Position
from libs.runtime.machine import Effect, Publish
from services.ledger.machine import LedgerMachine
from services.order_executor import approvals
from services.order_executor.machine import OrderExecutorMachine

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

    def posts_twice(self: LedgerMachine, report: ExecutionReport) -> list[Effect]:
        effects = post(self, report)
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


def resend_after_crash() -> contextlib.AbstractContextManager[Any]:
    """A restart performs every request that has no answer, as if none of them could have left."""
    return mock.patch.object(Engine, "_has_not_left", lambda self, asked: isinstance(asked, Asked))


BUGS: dict[str, Planting] = {
    "double_booking": double_booking,
    "ledger_posts_twice": ledger_posts_twice,
    "lost_output_after_crash": lost_output_after_crash,
    "id_from_randomness": id_from_randomness,
    "guess_on_timeout": guess_on_timeout,
    "resend_after_crash": resend_after_crash,
}


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Run with the bug `name` in the code; None plants nothing."""
    with BUGS[name]() if name else contextlib.nullcontext():
        yield
