"""A model's server and an adapter, for tests that ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from services.model_sim.server import ModelServer
from services.model_sim.settings import Settings as ServerSettings
from services.signal_agents.llm.adapters.client import ModelPort, ModelReply
from services.signal_agents.llm.adapters.model import ModelAdapter
from services.signal_agents.llm.case import Case
from services.signal_agents.llm.prompt import Params, question_of
from services.signal_agents.llm.requests import AskModel
from services.signal_agents.llm.settings import Settings
from tests.unit.signal_agents.llm.cases import BAR_END, answer_to, plain_case

PARAMS = Params(model="sim")
DAY_NS = 86_400_000_000_000


class WallClock:
    """A wall clock that a test moves."""

    def __init__(self, now: int = BAR_END):
        self.at = now

    def __call__(self) -> int:
        return self.at

    def now(self) -> int:
        return self.at

    async def sleep_until(self, due: int) -> None:
        raise NotImplementedError


class Parrot:
    """A model that says what it was taught, one reply an asking; the last one stays."""

    def __init__(self, replies: Sequence[ModelReply]):
        self._replies = list(replies)
        self.asked: list[str] = []

    async def open(self) -> None:
        """Nothing to open."""

    async def ask(self, request: str, deadline_s: float) -> ModelReply:
        self.asked.append(request)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    async def close(self) -> None:
        """Nothing to close."""


def said(case: Case, **changed: Any) -> ModelReply:
    """A good reply to `case`."""
    return ModelReply(
        failure=None, sent=True, status=200, text=answer_to(case), tokens_in=1000, tokens_out=100, **changed
    )


def failed(failure: Any, *, status: int = 0, sent: bool = True, retry_after: str = "") -> ModelReply:
    """A reply that is none."""
    return ModelReply(failure=failure, sent=sent, status=status, retry_after=retry_after)


def asked(case: Case | None = None, *, request_id: str = "r1", valid_until: int = BAR_END + DAY_NS) -> Asked:
    """The machine asks about a case."""
    case = case or plain_case()
    request = AskModel(question=question_of(case, PARAMS), case=case, deadline_ms=3_000, valid_until=valid_until)
    return Asked(request_id, request, 1, 1, "story", "cause")


def settings(home: Path, **changed: Any) -> Settings:
    """A cheap model: a call can cost about a cent, a day a dollar."""
    usual = {
        "llm_url": "http://127.0.0.1:9/v1",
        "llm_model": "sim",
        "llm_usd_per_mtok_in": Decimal(1),
        "llm_usd_per_mtok_out": Decimal(10),
    }
    return Settings(home=home, **{**usual, **changed})


def context(clock: WallClock, registry: Any = None) -> AdapterContext:
    """What a shell would lend."""
    return AdapterContext(
        emit=lambda message: None,
        publish_market=lambda message: None,
        clock=clock,
        state=lambda: None,
        logger=structlog.get_logger("test"),
        holds_lease=_yes,
        read_log=lambda durable, seq: _nothing(),
        registry=registry,
    )


async def _yes() -> bool:
    return True


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


@asynccontextmanager
async def adapter(
    home: Path, port: ModelPort | None, clock: WallClock | None = None, **changed: Any
) -> AsyncIterator[Callable[..., Any]]:
    """Asks through an open adapter, and closes it."""
    clock = clock or WallClock()
    opened = ModelAdapter(settings(home, **changed), port, clock)
    await opened.open(context(clock))
    try:
        yield opened.perform
    finally:
        await opened.close()


@asynccontextmanager
async def model_server(home: Path) -> AsyncIterator[ModelServer]:
    """A model's server on a port of its own."""
    server = ModelServer(ServerSettings(home=home))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
