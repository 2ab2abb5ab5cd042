"""The gateway as a process of the stack: brought up by `bulkhead up`, over TLS, refusing, standing by, ending."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from libs.runtime.settings import EX_CONFIG
from services.cli.app import app
from tests.e2e.gateway_stand import Gateway, gateway_in, gateway_on
from tests.e2e.stack_stand import Stack
from tests.nats_stack import NatsStack
from tests.unit.gateway.test_settings import certificate


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)
    return


async def get(url: str, token: str, **more: Any) -> tuple[int, Any]:
    """One request on a connection of its own."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, headers={"Authorization": f"Bearer {token}"}, **more) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_up_brings_a_console_and_prints_the_way_into_it(tmp_path: Path) -> None:
    """On a simulated market a link with a token that works; nobody else can read it, and the gateway says how things are."""
    stack = Stack(tmp_path / "home", ("gateway",))
    try:
        await stack.until(lambda: stack.shows("#token="))
        found = re.search(r"(http://127\.0\.0\.1:\d+)/#token=(\S+)", stack.screen.getvalue())
        assert found is not None
        url, token = found.groups()
        assert url == f"http://127.0.0.1:{stack.ports.gateway}"
        health = await live_health(url, token)
        assert (health["status"], health["mode"]) == ("down", "sim")
        assert any(reason.startswith("ledger is not ready") for reason in health["reasons"])
        assert await stack.stop() == 0
    finally:
        await stack.abandon()
    for name in ("console.token", "api-tokens.json"):
        assert stat.S_IMODE((tmp_path / "home" / "keys" / name).stat().st_mode) == 0o600
    assert token.split("_", 2)[2] not in (tmp_path / "home" / "logs" / "gateway.log").read_text()


async def live_health(url: str, token: str) -> Any:
    """What it says of the system, once it has read the log and asked everybody."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, health = await get(f"{url}/api/v1/health", token)
            except aiohttp.ClientError:
                health = {"desk": {"state": ""}}
            if health["desk"]["state"] == "LIVE" and health["services"]:
                return health
            await asyncio.sleep(0.05)


def bulkhead(home: Path, *words: str, code: int = 0) -> Any:
    """The command's answer to a script."""
    result = CliRunner().invoke(app, ["--home", str(home), *words, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


async def test_a_token_is_made_listed_and_revoked_while_the_gateway_runs(tmp_path: Path) -> None:
    """What the command line makes works within a second, and what it revokes no longer does; the secret is shown once."""
    async with gateway_in(tmp_path / "home", seed=None) as gateway:
        home = gateway.home
        made = await asyncio.to_thread(bulkhead, home, "token", "create", "ada", "--scope", "read", "--days", "2")
        assert (made["name"], made["scopes"], made["state"]) == ("ada", ["read"], "valid")
        headers = {"Authorization": f"Bearer {made['token']}"}
        found = await gateway.until(lambda: gateway.ask("/api/v1/session", "", headers=headers), "it to be known", 2)
        assert found["name"] == "ada"
        await asyncio.to_thread(bulkhead, home, "token", "revoke", made["id"])

        async def is_out() -> bool:
            return (await gateway.ask("/api/v1/session", "", status=None, headers=headers)).get("status") == 401

        await gateway.until(is_out, "it to be out", 2)
        listed = await asyncio.to_thread(bulkhead, home, "token", "list")
        assert {each["id"]: each["state"] for each in listed}[made["id"]] == "revoked"
        assert made["token"].split("_", 2)[2] not in json.dumps(listed)
        unknown = await asyncio.to_thread(bulkhead, home, "token", "revoke", "nobody", code=EX_CONFIG)
        assert "token list" in unknown["what_to_do"]
        await asyncio.to_thread(bulkhead, home, "token", "create", "eve", "--scope", "root", code=EX_CONFIG)
        shown = await asyncio.to_thread(CliRunner().invoke, app, ["--home", str(home), "token", "list"])
        assert "revoked" in shown.stdout
        told = await asyncio.to_thread(
            CliRunner().invoke, app, ["--home", str(home), "token", "create", "bob", "--scope", "alerts"]
        )
        assert told.stdout.startswith("bht_")


async def test_listeners_are_as_many_as_they_may_and_hold_nobody_up(tmp_path: Path) -> None:
    """One more than that, of all or of one token, is a problem; who leaves makes room; a gateway that is told to stop does not wait for listeners."""
    few = {"BULKHEAD_GATEWAY_STREAMS_MAX": "2", "BULKHEAD_GATEWAY_STREAMS_PER_TOKEN": "1"}
    async with gateway_in(tmp_path / "home", seed=None, **few) as gateway:
        url, headers = f"{gateway.url}/api/v1/stream", gateway.bearer("read")
        first = await gateway.http.get(url, headers=headers)
        assert (await first.content.readline()).startswith(b"retry: ")
        assert (await gateway.ask("/api/v1/stream", status=503))["type"].endswith("too-many-streams")
        assert (await gateway.refused("CROWDED")).who == gateway.ids["read"]
        second = await gateway.http.get(url, headers=gateway.bearer("operate"))
        assert (await second.content.readline()).startswith(b"retry: ")
        assert (await gateway.ask("/api/v1/stream", "admin", status=503))["type"].endswith("too-many-streams")
        first.close()

        async def is_free() -> bool:
            async with gateway.http.get(url, headers=headers) as answer:
                return answer.status == 200

        await gateway.until(is_free, "a place")
        async with aiohttp.ClientSession() as http:

            async def listens() -> aiohttp.ClientResponse | None:
                answer = await http.get(url, headers=headers)
                return answer if answer.status == 200 else None

            last = await gateway.until(listens, "a place")
            assert await gateway.stop() == 0
            last.close()


async def test_it_speaks_tls(nats: NatsStack, tmp_path: Path) -> None:
    """With a certificate: https, cookies that need it, and a word that it stays so."""
    cert, key = certificate(tmp_path)
    env = {"BULKHEAD_GATEWAY_TLS_CERT_FILE": str(cert), "BULKHEAD_GATEWAY_TLS_KEY_FILE": str(key)}
    async with gateway_on(nats, BULKHEAD_GATEWAY_HOST="0.0.0.0", **env) as gateway:
        trusted = ssl.create_default_context(cafile=str(cert))
        url = gateway.url.replace("http://127.0.0.1", "https://localhost")
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{url}/api/v1/session", json={"token": gateway.tokens["read"]}, ssl=trusted) as answer,
        ):
            assert answer.status == 200
            assert "Secure" in answer.headers["Set-Cookie"]
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


async def test_it_refuses_to_stand_open(nats: NatsStack) -> None:
    """Beyond this machine without TLS: exit code 78, and what to do."""
    gateway = Gateway(nats, BULKHEAD_GATEWAY_HOST="0.0.0.0")
    with pytest.raises(AssertionError, match="it ended with 78"):
        await gateway.start()
    await gateway.http.close()
    assert "BULKHEAD_GATEWAY_PLAIN_HTTP=true" in gateway.log.read_text()
