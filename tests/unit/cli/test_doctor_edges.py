"""The doctor asks the model's server and Telegram: real servers on this machine, answering well, badly, elsewhere or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.cli import doctor_edges
from services.cli.doctor import Finding
from services.cli.doctor_edges import check_model, check_people, check_telegram
from services.model_sim.server import ModelServer
from services.model_sim.settings import Settings as SimSettings
from services.notifier.settings import Settings as NotifierSettings
from services.signal_agents.llm.settings import Settings as AgentSettings
from services.telegram_sim.server import TelegramServer, write_secret
from services.telegram_sim.settings import Settings as TelegramSettings

KEY = "sk-test-0123456789abcdef"
TOKEN = "123456:AA-a-token-that-nobody-may-see"


def is_told(finding: Finding, level: str, *words: str) -> bool:
    """The level, the words, and a cure unless all is well."""
    assert KEY not in f"{finding}"
    assert TOKEN not in f"{finding}"
    return finding.level == level and bool(finding.cure) == (level != "OK") and all(w in finding.text for w in words)


class Server:
    """Answers every path with what it was told to; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, web.Response | Any] = {}
        self.asked: list[tuple[str, str, str]] = []

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.asked.append((request.path, request.headers.get("Authorization", ""), body))
        status, said = self.answers.get(request.path, (404, {"error": "unknown"}))
        if callable(said):
            said = said(json.loads(body))
        headers = {"Location": f"{self.url}/elsewhere"} if 300 <= status < 400 else {}
        text = said if isinstance(said, str) else json.dumps(said)
        return web.Response(status=status, text=text, headers=headers, content_type="application/json")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


def agent(tmp_path: Path, url: str, model: str = "sim") -> AgentSettings:
    file = tmp_path / "model-key"
    file.write_text(KEY)
    file.chmod(0o600)
    return AgentSettings(llm_url=url, llm_model=model, llm_api_key_file=file)


# --- the model ----------------------------------------------------------------------------------------------------


async def test_nobody_is_asked_unless_there_is_a_model() -> None:
    """Which is well."""
    assert is_told(await check_model(AgentSettings()), "OK", "nobody is asked")


async def test_the_emulated_models_server_is_well(tmp_path: Path) -> None:
    """It lists what it has."""
    sim = ModelServer(SimSettings(home=tmp_path))
    await sim.start()
    try:
        listed = await doctor_edges.ask("GET", f"{sim.url}/models")
        (name,) = [row["id"] for row in listed.body["data"]]
        assert is_told(await check_model(agent(tmp_path, sim.url, name)), "OK", name)
        assert is_told(await check_model(agent(tmp_path, sim.url, "another")), "WARN", "has no another", name)
    finally:
        await sim.stop()
    assert is_told(await check_model(agent(tmp_path, sim.url)), "FAIL", "does not answer")


async def test_a_server_that_lists_nothing_is_asked_for_one_token(server: Server, tmp_path: Path) -> None:
    """With our key, our model and no more than that."""
    server.answers["/v1/chat/completions"] = (200, {"choices": []})
    assert is_told(await check_model(agent(tmp_path, f"{server.url}/v1")), "OK")
    path, authorization, body = server.asked[-1]
    assert (path, authorization) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert (json.loads(body)["model"], json.loads(body)["max_tokens"]) == ("sim", 1)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {}, "refuses our key"),
        (403, {}, "refuses our key"),
        (302, {}, "sends us elsewhere"),
        (500, {}, "status 500"),
        (200, "<html>", "not as a model's server does"),
        (200, {"data": "x"}, "not as a model's server does"),
        (200, "[" + "1," * 200_000 + "1]", "has no end"),
    ],
)
async def test_each_bad_answer_of_a_models_server_has_a_name(
    server: Server, tmp_path: Path, status: int, body: Any, words: str
) -> None:
    """And nobody follows it elsewhere, where the key would be shown."""
    server.answers["/v1/models"] = (status, body)
    assert is_told(await check_model(agent(tmp_path, f"{server.url}/v1")), "FAIL", words)
    assert [path for path, _, _ in server.asked] == ["/v1/models"]


async def test_a_server_that_keeps_silent_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the deadline."""
    monkeypatch.setattr(doctor_edges, "ASK_S_MAX", 0.0001)
    assert is_told(await check_model(agent(tmp_path, f"{server.url}/v1")), "FAIL", "TimeoutError")


# --- people -------------------------------------------------------------------------------------------------------


def bot(server: Server, known: tuple[int, ...] = (7, -100)) -> None:
    """The server is Telegram's, and its bot knows these chats."""

    def chat(asked: dict[str, Any]) -> dict[str, Any]:
        found = asked["chat_id"] in known
        return {"ok": found, "result": {"id": asked["chat_id"]}} if found else {"ok": False, "description": "not found"}

    server.answers[f"/bot{TOKEN}/getMe"] = (200, {"ok": True, "result": {"username": "ada_bot"}})
    server.answers[f"/bot{TOKEN}/getChat"] = (200, chat)


async def test_the_bot_is_asked_who_it_is_and_whether_it_knows_every_chat(server: Server) -> None:
    """getMe once, getChat for each."""
    bot(server)
    assert is_told(await check_telegram(TOKEN, (7, -100), server.url), "OK", "@ada_bot can write to 2 chats")
    assert sorted(path.rpartition("/")[2] for path, _, _ in server.asked) == ["getChat", "getChat", "getMe"]


async def test_what_telegram_refuses_is_told_without_the_token(server: Server) -> None:
    """A chat that the bot does not know, no chat at all, a token that is none, nobody there."""
    bot(server)
    assert is_told(await check_telegram(TOKEN, (7, 8), server.url), "FAIL", "cannot write to 8")
    assert is_told(await check_telegram(TOKEN, (), server.url), "FAIL", "no chat is named")
    server.answers[f"/bot{TOKEN}/getMe"] = (401, {"ok": False})
    assert is_told(await check_telegram(TOKEN, (7,), server.url), "FAIL", "token is refused")
    assert is_told(await check_telegram(TOKEN, (7,), "http://127.0.0.1:1"), "FAIL", "no answer")


async def test_messages_to_the_console_need_nobody() -> None:
    """It is there wherever the notifier is."""
    assert is_told(await check_people(NotifierSettings()), "OK", "console")


async def test_people_on_telegram_are_looked_up_as_the_notifier_would(tmp_path: Path) -> None:
    """With its token, its chats and its server; what goes by URL is named, and said to be untried."""
    telegram = TelegramServer(TelegramSettings(home=tmp_path, telegram_sim_chats=(7,)))
    await telegram.start()
    write_secret(tmp_path / "token", telegram.token)
    write_secret(tmp_path / "urls", "json://127.0.0.1:9/somewhere")
    told = {
        "notify_channel": "telegram",
        "telegram_token_file": tmp_path / "token",
        "telegram_url": telegram.url,
        "notify_urls_file": tmp_path / "urls",
    }
    found = await check_people(NotifierSettings(**told, telegram_chats=(7,)))
    assert is_told(found, "OK", "can write to 1 chats", "by URL, untried: json")
    assert telegram.chats.sent == []
    found = await check_people(NotifierSettings(**told, telegram_chats=(7, 8)))
    assert is_told(found, "FAIL", "cannot write to 8")
    telegram.rotate()
    found = await check_people(NotifierSettings(**told, telegram_chats=(7,)))
    assert is_told(found, "FAIL", "token is refused")
    await telegram.stop()
