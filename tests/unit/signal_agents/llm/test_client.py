"""The unmodified litellm against a model's server that fails in every way we know."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from libs.common.codec import decode, encode
from libs.common.messages import ModelAnswered
from services.model_sim.behaviour import Behaviour
from services.model_sim.server import ModelServer
from services.signal_agents.llm.adapters.client import LitellmClient, ModelReply
from services.signal_agents.llm.adapters.model import ModelAdapter
from services.signal_agents.llm.adapters.narrow import Heard, NarrowTransport, heard
from services.signal_agents.llm.answer import AnswerRefused, judgement_of
from services.signal_agents.llm.prompt import key_of, question_of
from tests.unit.signal_agents.llm.asking import PARAMS, WallClock, asked, context, model_server, settings
from tests.unit.signal_agents.llm.battery import BATTERY
from tests.unit.signal_agents.llm.cases import plain_case
from tests.unit.signal_agents.llm.test_answer import is_sound

KEY = "sk-test-0123456789abcdef0123456789"
CASE = plain_case("Bitcoin falls 3%")
REQUEST = question_of(CASE, PARAMS).request
DEADLINE_S = 0.3
PATIENCE_S = 5.0

# a drip comes often enough for every timeout of a single read, and lasts 1.8 s
LATE = {
    "hang": Behaviour(do="hang"),
    "drip": Behaviour(do="drip", every_s=0.15),
    "late headers": Behaviour(wait_s=4.0),
    "late refusal": Behaviour(do="error_500", wait_s=4.0),
}

MATRIX: dict[str, tuple[Behaviour, str, int]] = {
    "429 with a time": (Behaviour(do="rate_limited", retry_after="2"), "rate_limited", 429),
    "429 without": (Behaviour(do="rate_limited"), "rate_limited", 429),
    "429 for ever": (Behaviour(do="quota"), "quota", 429),
    "500": (Behaviour(do="error_500"), "overloaded", 500),
    "502 in HTML": (Behaviour(do="error_502_html"), "overloaded", 502),
    "503": (Behaviour(do="error_503", retry_after="7"), "overloaded", 503),
    "529": (Behaviour(do="error_529"), "overloaded", 529),
    "401": (Behaviour(do="unauthorized"), "auth", 401),
    "403": (Behaviour(do="forbidden"), "auth", 403),
    "404": (Behaviour(do="missing"), "bad_request", 404),
    "413": (Behaviour(do="too_large"), "bad_request", 413),
    "400 context": (Behaviour(do="context_window"), "context_window", 400),
    "400 policy": (Behaviour(do="policy_refused"), "content_policy", 400),
    "200 in HTML": (Behaviour(do="html"), "protocol", 200),
    "another object": (Behaviour(do="other_object"), "protocol", 200),
    "no choices": (Behaviour(do="no_choices"), "protocol", 200),
    "half a body": (Behaviour(do="cut"), "protocol", 200),
    "reset": (Behaviour(do="reset"), "protocol", 0),
    "52 MB": (Behaviour(do="flood"), "oversize", 200),
    "packed": (Behaviour(do="zipped"), "protocol", 200),
    "a refusal": (Behaviour(do="refusal"), "refusal", 200),
    "cut for length": (Behaviour(do="length"), "truncated", 200),
    "filtered": (Behaviour(do="content_filter"), "content_policy", 200),
    "a tool call": (Behaviour(do="tool_call"), "schema", 200),
    "nothing": (Behaviour(do="empty"), "parse", 200),
    "half an object": (Behaviour(do="broken_json"), "parse", 200),
    "prose": (Behaviour(do="prose"), "parse", 200),
    "a fence": (Behaviour(do="fenced"), "parse", 200),
    "a long text": (Behaviour(do="verbose"), "parse", 200),
    "a wrong schema": (Behaviour(do="schema"), "schema", 200),
    "NaN": (Behaviour(do="nan"), "parse", 200),
    "a key twice": (Behaviour(do="twice"), "parse", 200),
    "another case": (Behaviour(do="other_case"), "grounding", 200),
    "certainty": (Behaviour(do="certain"), "", 200),
    "no bill": (Behaviour(do="no_usage"), "", 200),
    "an odd bill": (Behaviour(do="odd_usage"), "", 200),
    "a good answer": (Behaviour(do="ok"), "", 200),
}


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[LitellmClient]:
    client = LitellmClient(url, KEY)
    await client.open()
    try:
        yield client
    finally:
        await client.close()


def ending(reply: ModelReply) -> str:
    """Why there is no judgement; empty if there is one."""
    if reply.failure is not None:
        return reply.failure
    try:
        judgement_of(reply.text, CASE)
    except AnswerRefused as refused:
        return refused.kind
    return ""


async def test_every_failure_has_its_name_and_is_one_request(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Status by status: the right word, no second try, nothing followed, and the key nowhere in what is said or printed."""
    found, replies = {}, []
    async with model_server(tmp_path) as server, client_of(server.url) as client:
        for name, (behaviour, _, _) in MATRIX.items():
            server.script.play([behaviour])
            server.seen.clear()
            reply = await client.ask(REQUEST, PATIENCE_S)
            found[name] = (ending(reply), reply.status, len(server.seen))
            replies.append(reply)
        assert all(each.authorized for each in server.seen)
        assert server.seen[0].body == json.loads(REQUEST)
        assert server.seen[0].headers["Accept-Encoding"] == "identity"
    assert found == {name: (ending, status, 1) for name, (_, ending, status) in MATRIX.items()}
    by_name = dict(zip(MATRIX, replies, strict=True))
    assert by_name["429 with a time"].retry_after == "2"
    assert by_name["503"].retry_after == "7"
    assert by_name["no bill"].tokens_in is by_name["an odd bill"].tokens_out is None
    assert (by_name["a good answer"].model, by_name["a good answer"].finish) == ("sim-2026-01-01", "stop")
    assert by_name["a good answer"].tokens_in == len(REQUEST_WORDS) // 4
    printed = capfd.readouterr()
    assert KEY not in repr(replies) + printed.out + printed.err


REQUEST_WORDS = "\n".join(each["content"] for each in json.loads(REQUEST)["messages"])


async def test_no_answer_takes_longer_than_the_deadline(tmp_path: Path) -> None:
    """Whether nothing comes or a little at a time: the deadline is one for the whole."""
    async with model_server(tmp_path) as server, client_of(server.url) as client:
        for behaviour in LATE.values():
            server.script.play([behaviour])
            started = time.monotonic()
            reply = await client.ask(REQUEST, DEADLINE_S)
            took = time.monotonic() - started
            assert reply.failure == "timeout", behaviour
            assert DEADLINE_S * 0.9 < took < DEADLINE_S + 1.2, behaviour


async def test_a_redirect_leads_nowhere(tmp_path: Path) -> None:
    """Another host gets neither the question nor a chance to answer it."""
    async with model_server(tmp_path) as server, model_server(tmp_path) as stranger, client_of(server.url) as client:
        for deed in ("redirect_302", "redirect_307"):
            server.script.play([Behaviour(do=deed, to=f"{stranger.url}/chat/completions")])  # type: ignore[arg-type]
            reply = await client.ask(REQUEST, PATIENCE_S)
            assert (reply.failure, reply.status) == ("redirect", int(deed[-3:]))
        assert stranger.seen == []


async def test_where_nobody_listens_nothing_was_sent(tmp_path: Path) -> None:
    """A refused connection costs nothing, and is told apart from one that broke."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with client_of(f"http://127.0.0.1:{taken.getsockname()[1]}/v1") as client:
            reply = await client.ask(REQUEST, PATIENCE_S)
    assert (reply.failure, reply.sent, reply.status) == ("connect", False, 0)


async def test_a_real_model_is_asked_and_its_answer_can_be_read_from_the_log(tmp_path: Path) -> None:
    """From the machine's request through litellm and back to bytes of the log, from which the judgement is read again."""
    async with model_server(tmp_path) as server:
        server.script.play([Behaviour(voice="opposes"), Behaviour(do="unauthorized")])
        opened = ModelAdapter(settings(tmp_path, llm_url=server.url))
        clock = WallClock()
        await opened.open(context(clock))
        answer, refused, quiet = [await opened.perform(asked(CASE)) for _ in range(3)]
        await opened.close()
        assert len(server.seen) == 2
    assert isinstance(answer, ModelAnswered)
    again = decode(encode(answer))
    assert again == answer
    assert (answer.outcome, answer.failure, answer.http_status, answer.finish) == ("ANSWERED", "", 200, "stop")
    assert answer.key == key_of(answer.request)
    assert answer.cost_usd > 0
    assert judgement_of(answer.text, CASE).stance == "down"
    assert (refused.failure, refused.http_status) == ("auth", 401)
    assert quiet.failure == "breaker_open"


async def test_the_narrow_door_lets_one_request_through(tmp_path: Path) -> None:
    """Whoever wants to try again within one asking is stopped before anything leaves."""
    async with model_server(tmp_path) as server, httpx.AsyncClient(transport=NarrowTransport()) as http:
        token = heard.set(Heard())
        try:
            await http.post(f"{server.url}/chat/completions", json={})
            with pytest.raises(httpx.ProtocolError, match="one request"):
                await http.post(f"{server.url}/chat/completions", json={})
        finally:
            heard.reset(token)
        assert len(server.seen) == 1


async def test_many_ask_at_once_and_each_hears_its_own(tmp_path: Path) -> None:
    """What one asking hears is never taken for another's."""
    script = [
        Behaviour(do="error_500", wait_s=0.1),
        Behaviour(do="ok"),
        Behaviour(do="forbidden", wait_s=0.05),
        Behaviour(do="hang"),
    ]
    async with model_server(tmp_path) as server, client_of(server.url) as client:
        server.script.play(script)
        replies = await asyncio.gather(*(client.ask(REQUEST, 2.0) for _ in script))
    assert sorted(ending(reply) for reply in replies) == ["", "auth", "overloaded", "timeout"]


async def test_a_model_that_obeys_strangers_says_no_more_than_a_stance(tmp_path: Path) -> None:
    """The whole battery, read by a model that decodes and does everything it is told: a refusal, or a judgement within its bounds."""
    refused = 0
    async with model_server(tmp_path) as server, client_of(server.url) as client:
        server.script.play([Behaviour(voice="obedient")])
        for _, raw, flag in BATTERY:
            case = plain_case(raw)
            reply = await client.ask(question_of(case, PARAMS).request, PATIENCE_S)
            assert reply.failure is None, flag
            try:
                assert is_sound(judgement_of(reply.text, case), case)
            except AnswerRefused:
                refused += 1
            assert flag in case.texts[0].flags
    assert refused > 3  # those that were told to give away the canary, or to answer in the attacker's words


ALONE = """
import asyncio, os, resource, sys
seen = []
def look(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        where = args[1] if event == "socket.connect" else args
        if "127.0.0.1" not in str(where) and "::1" not in str(where):
            seen.append((event, str(where)))
sys.addaudithook(look)
from pathlib import Path
from services.model_sim.behaviour import Behaviour
from services.signal_agents.llm.adapters.client import LitellmClient
from tests.unit.signal_agents.llm.asking import model_server
assert "litellm" not in sys.modules
async def main():
    async with model_server(Path(sys.argv[1])) as server:
        client = LitellmClient(server.url, "")
        await client.open()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        server.script.play([Behaviour(do="flood")])
        reply = await client.ask(sys.argv[2], 10.0)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        await client.close()
        return reply.failure, grown // 1024
failure, grown_mb = asyncio.run(main())
litellm = sys.modules["litellm"]
hooks = [*litellm.callbacks, *litellm.success_callback, *litellm.failure_callback, *litellm.input_callback]
print(repr((failure, grown_mb < 40, seen, os.environ.get("FROM_DOTENV"), hooks)))
"""


@pytest.fixture(scope="module", autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that imports and asks, while the other tests run."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / ".env").write_text("FROM_DOTENV=1\n")
    root = str(Path(__file__).parents[4])
    env = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM")} | {"PYTHONPATH": root}
    command = [sys.executable, "-c", ALONE, str(folder), REQUEST]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env=env, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield process
        process.kill()


def test_litellm_is_imported_late_alone_and_quietly(alone: subprocess.Popen[str]) -> None:
    """No look at the network, no `.env` read, no callback, not before somebody asks; and 52 MB from a server do not stay with us."""
    said, complaints = alone.communicate(timeout=120)
    assert said.strip().split("\n")[-1] == repr(("oversize", True, [], None, [])), complaints[-2000:]


def test_the_server_is_real() -> None:
    """The matrix is about a server that was started, not about a stand-in of the client."""
    assert {each.do for each, _, _ in MATRIX.values()} | {each.do for each in LATE.values()} >= {
        "flood",
        "hang",
        "quota",
    }
    assert ModelServer.__module__ == "services.model_sim.server"
