"""One asking from end to end: may it leave, who pays, what came back, what it is worth.

    route ── closed ──▶ breaker_open        budget ── spent ──▶ budget        model ──▶ text ──▶ judgement_of ──▶ ANSWERED
      └── open ──────────▶ turn (a few at a time) ──▶ reserve ──▶ ask ──▶ settle ──▶ route is told    └── FAILED, with its word

The text is judged here only to know whether the model is worth asking again; who decides reads it again from the log. Money, pauses and
deadlines run on the wall clock, whatever time the market has. Nothing that is logged here has a header, a body or a key in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import get_args

import msgspec
from prometheus_client import CollectorRegistry

from libs.common.messages import Answer, ModelAnswered, RequestExpired
from libs.common.metrics.trading import MODEL_ASKINGS
from libs.common.money import ZERO
from libs.runtime.adapter import AdapterContext
from libs.runtime.breaker import BreakerChange
from libs.runtime.breaker_metrics import BreakerMetrics
from libs.runtime.core import Asked
from libs.runtime.made_metrics import counter_of
from libs.runtime.settings import SettingsError
from services.signal_agents.llm.adapters.budget import Caps, Prices, SpendBook, SpendBroken
from services.signal_agents.llm.adapters.client import LitellmClient, ModelPort, ModelReply
from services.signal_agents.llm.adapters.route import Route, retry_after_s
from services.signal_agents.llm.answer import AnswerRefused, judgement_of
from services.signal_agents.llm.failures import OURS, Failure
from services.signal_agents.llm.requests import AskModel
from services.signal_agents.llm.settings import Settings

AT_ONCE_MAX = 4
FOLDER = "agent-llm"
ANSWERED = "answered"


class ModelAdapter:
    """Asks the model that `settings` name. `port`: another way to it. `now`: the wall clock, nanoseconds.

    Raises:
        SettingsError: the key cannot be read, or what was spent is not known.
    """

    def __init__(self, settings: Settings, port: ModelPort | None = None, now: Callable[[], int] = time.time_ns):
        self._settings = settings
        self._now = now
        self._port = port
        if port is None and settings.is_configured:
            self._port = LitellmClient(settings.llm_url, settings.api_key())
        self._prices = Prices(usd_in=settings.llm_usd_per_mtok_in, usd_out=settings.llm_usd_per_mtok_out)
        try:
            caps = Caps(call=settings.llm_usd_per_call_max, day=settings.llm_usd_per_day_max)
            self._book = SpendBook(settings.home / FOLDER, caps)
        except SpendBroken as error:
            raise SettingsError(str(error)) from None
        self._route = Route()
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._context: AdapterContext
        self._begun = asyncio.Event()
        self._opened = asyncio.Event()

    async def open(self, context: AdapterContext) -> None:
        """Get the client ready; without a model to ask, say so once."""
        self._context = context
        registry = context.registry if context.registry is not None else CollectorRegistry()
        self._breaker_metrics = BreakerMetrics("agent-llm", registry)
        self._breaker_metrics.stands("model", self._route.breaker.state)
        self._askings = counter_of(MODEL_ASKINGS, registry)
        for end in (ANSWERED, *get_args(Failure)):
            self._askings.labels(end)  # from 0 on: the first failure is a step that rate() sees
        if self._port is None:
            context.logger.warning("model_not_configured", wish="set BULKHEAD_LLM_URL and BULKHEAD_LLM_MODEL")
        self._begun.set()
        if self._port is not None:
            await self._port.open()
        self._opened.set()

    async def perform(self, asked: Asked) -> Answer:
        """Ask once; every failure is an answer.

        Raises:
            TypeError: the request is not an AskModel (a defect in the machine).
        """
        request = asked.request
        if not isinstance(request, AskModel):
            raise TypeError(f"the model's adapter cannot perform {type(request).__name__}")
        started = time.monotonic()
        await self._begun.wait()  # the shell asks as soon as it lives; importing the client takes seconds
        reply, cost = await self._ask(asked.request_id, request, started)
        now = self._context.clock.now()
        if reply is None:
            return RequestExpired(request_id=asked.request_id, ts_event=now, ts_init=now)
        self._askings.labels(reply.failure or ANSWERED).inc()
        answer = ModelAnswered(
            request_id=asked.request_id,
            key=request.question.key,
            request=request.question.request,
            outcome="FAILED" if reply.failure else "ANSWERED",
            failure=reply.failure or "",
            text=reply.text,
            model=reply.model,
            finish=reply.finish,
            tokens_in=reply.tokens_in or 0,
            tokens_out=reply.tokens_out or 0,
            cost_usd=cost,
            latency_ms=int((time.monotonic() - started) * 1000),
            http_status=reply.status,
            retry_after_s=retry_after_s(reply.retry_after, self._now()),
            ts_event=now,
            ts_init=now,
        )
        if reply.failure and reply.failure not in OURS:  # what was not asked is in the log, and its cause was told once
            self._context.logger.info(
                "model_failed", failure=reply.failure, status=reply.status, case=request.case.case_id
            )
        return answer

    async def close(self) -> None:
        """Close connections."""
        if self._port is not None:
            await self._port.close()

    # --- one asking -----------------------------------------------------------------------------------------------------

    async def _ask(self, call_id: str, request: AskModel, started: float) -> tuple[ModelReply | None, Decimal]:
        """What came of it and what it has cost; no reply: it became too old while it waited for its turn."""
        if self._port is None:
            return _unasked("not_configured"), ZERO
        deadline_s = min(request.deadline_ms, self._settings.llm_deadline_ms) / 1000
        try:
            async with asyncio.timeout(deadline_s):
                await self._opened.wait()
                await self._turns.acquire()
        except TimeoutError:
            return _unasked("timeout"), ZERO
        try:
            if self._context.clock.now() > request.valid_until:
                return None, ZERO
            left_s = deadline_s - (time.monotonic() - started)
            return await self._pay_and_ask(self._port, call_id, request, max(left_s, 0.001))
        finally:
            self._turns.release()

    async def _pay_and_ask(
        self, port: ModelPort, call_id: str, request: AskModel, left_s: float
    ) -> tuple[ModelReply, Decimal]:
        if not self._route.allows(self._now()):
            return _unasked("breaker_open"), ZERO
        worst = self._prices.worst(request.question.request, self._settings.llm_answer_length_max)
        objection = self._book.reserve(call_id, worst, self._now())
        if objection:
            self._route.give_back()
            self._context.logger.warning("model_not_paid", why=objection)
            return _unasked("budget"), ZERO
        reply = _judged(await port.ask(request.question.request, left_s), request)
        cost = self._cost(reply, worst)
        self._book.settle(call_id, cost)
        now = self._now()
        self._tell(self._route.note(reply.failure, now, retry_after_s(reply.retry_after, now)))
        return reply, cost

    def _cost(self, reply: ModelReply, worst: Decimal) -> Decimal:
        """What is counted as spent: what the server says it is, nothing for what it refused, else the worst."""
        if reply.tokens_in is not None and reply.tokens_out is not None:
            return self._prices.cost(reply.tokens_in, reply.tokens_out)
        return ZERO if not reply.sent or 300 <= reply.status < 500 else worst

    def _tell(self, change: BreakerChange | None) -> None:
        self._breaker_metrics.stands("model", self._route.breaker.state)
        if change is not None:
            self._context.logger.warning("model_breaker", old=change.old, new=change.new, reason=change.reason)


def _unasked(failure: Failure) -> ModelReply:
    return ModelReply(failure=failure, sent=False)


def _judged(reply: ModelReply, request: AskModel) -> ModelReply:
    """The reply, failed if its text is no judgement."""
    if reply.failure is not None:
        return reply
    try:
        judgement_of(reply.text, request.case)
    except AnswerRefused as refused:
        return msgspec.structs.replace(reply, failure=refused.kind)
    return reply
