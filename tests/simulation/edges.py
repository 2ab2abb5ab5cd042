"""The worlds of the services that trade nothing: a channel to people that always works, and a model that mostly does."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random

from libs.common.messages import Answer, MessageSent, ModelAnswered, RequestExpired
from libs.common.timeframe import SECOND
from libs.runtime.core import Asked
from libs.runtime.simulate import Node
from libs.runtime.simulated_log import Scheduler
from services.signal_agents.llm.requests import AskModel
from tests.unit.signal_agents.llm.cases import answer_to

FAILURES = ("timeout", "overloaded", "breaker_open", "budget", "rate_limited", "connect")
GARBAGE = ("", "BUY EVERYTHING", '{"case":"x","stance":"down","p":1.0}', "I'm sorry, but I can't.")
LATE_NS_MAX = 12 * SECOND
"""Longer than the portfolio waits: some judgements come too late."""


class PeopleEdge:
    """The notifier's world: a channel that always works."""

    def __init__(self, scheduler: Scheduler):
        self._scheduler = scheduler

    def opened(self, node: Node) -> None:
        """Nothing to connect."""

    def closed(self) -> None:
        """Nothing to close."""

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        """Deliver a little later."""

        def sent() -> None:
            now = self._scheduler.now
            reply(
                MessageSent(request_id=asked.request_id, channel="sim", ok=True, detail="", ts_event=now, ts_init=now)
            )

        self._scheduler.soon(50.0, sent)


class ModelEdge:
    """The model agent's world: a model that agrees, contradicts, fails, talks nonsense and is late, by the seed's own dice."""

    def __init__(self, scheduler: Scheduler, seed: int):
        self._scheduler = scheduler
        self._random = Random(f"model {seed}")
        self.asked = 0

    def opened(self, node: Node) -> None:
        """Nothing to connect."""

    def closed(self) -> None:
        """Nothing to close."""

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        """Answer some time later; too old by then is told as the real adapter would."""
        request = asked.request
        assert isinstance(request, AskModel)
        self.asked += 1
        answer = self._answer(asked.request_id, request)
        is_late = self._random.random() < 0.2
        delay = self._random.randrange(LATE_NS_MAX) if is_late else self._random.randrange(SECOND)

        def answered() -> None:
            now = self._scheduler.now
            if self._random.random() < 0.05:
                reply(RequestExpired(request_id=asked.request_id, ts_event=now, ts_init=now))
            else:
                reply(answer(now))

        self._scheduler.at(self._scheduler.now + delay, answered)

    def _answer(self, request_id: str, request: AskModel) -> Callable[[int], ModelAnswered]:
        text, failure = "", ""
        match self._random.randrange(6):
            case 0:
                failure = self._random.choice(FAILURES)
            case 1:
                text = self._random.choice(GARBAGE)
            case _:
                stance = self._random.choice(("up", "up", "down", "none"))
                evidence = [request.case.evidence_ids[0]]
                text = answer_to(
                    request.case, stance=stance, p=self._random.uniform(0.5, 0.95), evidence=evidence, why=""
                )

        def at(now: int) -> ModelAnswered:
            return ModelAnswered(
                request_id=request_id,
                key=request.question.key,
                request=request.question.request,
                outcome="FAILED" if failure else "ANSWERED",
                failure=failure,
                text=text,
                model="sim",
                finish="stop",
                tokens_in=100,
                tokens_out=20,
                cost_usd=Decimal("0.001"),
                latency_ms=5,
                http_status=200,
                retry_after_s=0.0,
                ts_event=now,
                ts_init=now,
            )

        return at
