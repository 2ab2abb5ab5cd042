"""One asking from end to end, as the log will have it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from libs.common.codec import decode, encode
from libs.common.messages import ModelAnswered, RequestExpired
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from libs.runtime.settings import SettingsError, load_settings
from services.signal_agents.llm.adapters.budget import NAME
from services.signal_agents.llm.adapters.model import AT_ONCE_MAX, FOLDER, ModelAdapter
from services.signal_agents.llm.adapters.route import ASKED_MIN
from services.signal_agents.llm.machine import LlmMachine
from services.signal_agents.llm.settings import Settings
from tests.unit.signal_agents.llm.asking import (
    Parrot,
    WallClock,
    adapter,
    asked,
    context,
    failed,
    said,
    settings,
)
from tests.unit.signal_agents.llm.cases import BAR_END, plain_case

CASE = plain_case()
MINUTE = 60_000_000_000


async def test_without_a_model_it_says_so_once_and_abstains(tmp_path: Path) -> None:
    """Every question is answered at once, with nothing."""
    with capture_logs() as lines:
        opened = ModelAdapter(Settings(home=tmp_path))
        await opened.open(context(WallClock()))
        answers = [await opened.perform(asked(CASE)) for _ in range(3)]
        await opened.close()
    assert [answer.failure for answer in answers] == ["not_configured"] * 3
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["model_not_configured"]


async def test_a_text_that_is_no_judgement_is_a_failure_with_its_text(tmp_path: Path) -> None:
    """What the model wrote is kept, and counted against it."""
    prose = said(CASE).__class__(failure=None, sent=True, status=200, text="I would buy.", tokens_in=10, tokens_out=5)
    parrot = Parrot([prose])
    async with adapter(tmp_path, parrot) as perform:
        answers = [await perform(asked(CASE)) for _ in range(ASKED_MIN + 1)]
    assert [answer.failure for answer in answers] == ["parse"] * ASKED_MIN + ["breaker_open"]
    assert answers[0].text == "I would buy."
    assert len(parrot.asked) == ASKED_MIN


async def test_a_model_that_was_down_is_tried_again_after_a_minute(tmp_path: Path) -> None:
    """One probe, and it is asked as before; the series show where the breaker stood."""
    clock, registry = WallClock(), CollectorRegistry()
    opened = ModelAdapter(settings(tmp_path), Parrot([*[failed("timeout")] * ASKED_MIN, said(CASE)]), clock)
    await opened.open(context(clock, registry))
    for _ in range(ASKED_MIN):
        await opened.perform(asked(CASE))
    labels = {"service": "agent-llm", "name": "model"}
    assert registry.get_sample_value("bulkhead_breaker_state", labels) == 2
    assert (await opened.perform(asked(CASE))).failure == "breaker_open"
    clock.at += MINUTE
    assert (await opened.perform(asked(CASE))).outcome == "ANSWERED"
    assert registry.get_sample_value("bulkhead_breaker_state", labels) == 0
    assert registry.get_sample_value("bulkhead_model_askings_total", {"end": "timeout"}) == ASKED_MIN


async def test_a_server_that_wants_to_be_left_alone_is(tmp_path: Path) -> None:
    """Its own time counts, and is in the log."""
    clock = WallClock()
    replies = [failed("rate_limited", status=429, retry_after="30"), said(CASE)]
    async with adapter(tmp_path, Parrot(replies), clock) as perform:
        first = await perform(asked(CASE))
        clock.at += MINUTE // 4
        second = await perform(asked(CASE))
        clock.at += MINUTE // 4
        third = await perform(asked(CASE))
    assert (first.failure, first.retry_after_s) == ("rate_limited", 30.0)
    assert (second.failure, third.failure) == ("breaker_open", "")


async def test_a_question_that_has_become_old_is_not_asked(tmp_path: Path) -> None:
    """It is recorded as expired, which proves that it never left."""
    parrot = Parrot([said(CASE)])
    async with adapter(tmp_path, parrot) as perform:
        answer = await perform(asked(CASE, valid_until=BAR_END - 1))
    assert isinstance(answer, RequestExpired)
    assert parrot.asked == []


async def test_a_few_are_asked_at_once_and_the_rest_wait_within_their_deadline(tmp_path: Path) -> None:
    """A batch of twenty instruments is not twenty calls in one moment."""

    class Slow(Parrot):
        out = most = 0

        async def ask(self, request: str, deadline_s: float):  # type: ignore[no-untyped-def]
            self.out += 1
            self.most = max(self.most, self.out)
            await asyncio.sleep(0.01)
            self.out -= 1
            return await super().ask(request, deadline_s)

    slow = Slow([said(CASE)])
    async with adapter(tmp_path, slow) as perform:
        answers = await asyncio.gather(*(perform(asked(CASE, request_id=f"r{n}")) for n in range(20)))
    assert [answer.outcome for answer in answers] == ["ANSWERED"] * 20
    assert slow.most == AT_ONCE_MAX


async def test_another_request_is_a_defect(tmp_path: Path) -> None:
    """The adapter asks models, and does nothing else."""
    async with adapter(tmp_path, Parrot([said(CASE)])) as perform:
        with pytest.raises(TypeError, match="cannot perform Request"):
            await perform(Asked("r1", Request(valid_until=BAR_END), 1, 1, "story", "cause"))


def test_an_agent_that_does_not_know_what_it_has_spent_does_not_start(tmp_path: Path) -> None:
    """Exit code 78, with the file's name."""
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / NAME).write_text("{")
    with pytest.raises(SettingsError, match=NAME):
        ModelAdapter(settings(tmp_path))


def test_a_machine_of_the_settings_asks_for_what_they_say(tmp_path: Path) -> None:
    """What can change a question is in the machine's settings, and the price is not."""
    manner = settings(tmp_path, llm_answer_length_max=99, llm_structured="none").machine()
    assert (manner.params.model, manner.params.answer_tokens_max, manner.params.structured) == ("sim", 99, "none")
    assert LlmMachine(manner).handle(decode(encode(_answered())), BAR_END) == []


def _answered() -> ModelAnswered:
    return ModelAnswered(
        request_id="r1",
        key="0" * 64,
        request=json.dumps({}),
        outcome="FAILED",
        failure="timeout",
        text="",
        model="",
        finish="",
        tokens_in=0,
        tokens_out=0,
        cost_usd=Decimal(0),
        latency_ms=300,
        http_status=0,
        retry_after_s=0.0,
        producer="agent.llm",
    )


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("https://api.example/v1", False),
        ("http://127.0.0.1:11434/v1", False),
        ("http://localhost:11434/v1", False),
        ("http://models.example/v1", True),
        ("http://10.0.0.7:11434/v1", True),
    ],
)
def test_a_key_does_not_travel_in_the_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, is_refused: bool
) -> None:
    """Plain http is for this machine only, once there is a key."""
    key = tmp_path / "key"
    key.write_text("sk-test-0123456789abcdef\n")
    key.chmod(0o600)
    monkeypatch.setenv("BULKHEAD_LLM_URL", url)
    monkeypatch.setenv("BULKHEAD_LLM_MODEL", "sim")
    load_settings(Settings)
    monkeypatch.setenv("BULKHEAD_LLM_API_KEY_FILE", str(key))
    if is_refused:
        with pytest.raises(SettingsError, match="https") as refused:
            load_settings(Settings)
        assert "sk-test" not in str(refused.value)
    else:
        assert load_settings(Settings).api_key() == "sk-test-0123456789abcdef"


@pytest.mark.parametrize(
    "url", ["ftp://models.example", "https://user:pw@models.example/v1", "models.example", "https://a b"]
)
def test_a_url_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """And none with a password in it."""
    monkeypatch.setenv("BULKHEAD_LLM_URL", url)
    with pytest.raises(SettingsError, match="BULKHEAD_LLM_URL"):
        load_settings(Settings)


async def test_a_question_that_comes_before_the_client_is_open_waits_for_it(tmp_path: Path) -> None:
    """Importing the client takes seconds, and the shell asks as soon as it lives: the question waits, within its deadline."""

    class Slow(Parrot):
        async def open(self) -> None:
            await opens.wait()

    opens = asyncio.Event()
    slow = ModelAdapter(settings(tmp_path), Slow([said(CASE)]), WallClock())
    early = asyncio.create_task(slow.perform(asked(CASE)))
    opening = asyncio.create_task(slow.open(context(WallClock())))
    await asyncio.sleep(0)
    assert not early.done()
    opens.set()
    answer = await early
    await opening
    await slow.close()
    assert isinstance(answer, ModelAnswered)
    assert answer.outcome == "ANSWERED"
