"""Who is let in, and who is not: every route with every scope, and everything that strangers try, against a running gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from libs.common.messages import AccessRefused, AlertRaised
from libs.desk.tokens import SCOPES, TokenStore, minted, token_file
from services.gateway.app import RouteLine, inventory
from services.gateway.doors import ARMOUR
from tests.e2e.gateway_stand import Gateway, gateway_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOWED = {scope: minted("a", (scope,), 1, 0)[0] for scope in SCOPES}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that is patient with tests: it counts failures, but not so soon."""
    folder = tmp_path_factory.mktemp("access")
    patient = {"BULKHEAD_GATEWAY_RATE_FAILURES": "10000", "BULKHEAD_GATEWAY_BODY_S_MAX": "0.5"}
    async with gateway_in(folder, seed=None, **patient) as running:
        yield running


async def status_of(gateway: Gateway, line: RouteLine, headers: dict[str, str]) -> int:
    """What a route answers first; a stream is not heard to its end."""
    path = line.path.replace("{wanted}", "latest")
    async with gateway.http.request(line.method, gateway.url + path, headers=headers, json=None) as answer:
        return answer.status


async def test_every_route_lets_in_whom_it_is_for(gateway: Gateway) -> None:
    """Without a token nobody, with another scope nobody, with its own scope everybody."""
    for line in inventory():
        nobody = await status_of(gateway, line, {})
        if not line.scope:
            assert nobody in (200, 422), line
            continue
        assert nobody == 401, line
        for scope in SCOPES:
            status = await status_of(gateway, line, gateway.bearer(scope))
            is_allowed = ALLOWED[scope].allows(line.scope)  # type: ignore[arg-type]
            assert (status == 403) is not is_allowed, (line, scope, status)
            assert status in (200, 202, 204, 403, 404, 422, 503), (line, scope, status)


async def test_every_answer_wears_its_armour_and_every_error_is_a_problem(gateway: Gateway) -> None:
    """Files, errors, unknown paths and methods alike; nothing says what runs here."""
    tries = [("GET", "/livez"), ("GET", "/"), ("GET", "/../../etc/passwd"), ("GET", "/.git/config"), ("POST", "/x")]
    tries += [("GET", "/api/v1/nothing"), ("PUT", "/api/v1/halt"), ("OPTIONS", "/api/v1/halt"), ("GET", "/docs")]
    tries += [("DELETE", "/api/v1/portfolio"), ("TRACE", "/api/v1/portfolio"), ("GET", "/api/v1/trace/%00%ff")]
    for headers in ({}, gateway.bearer("admin")):
        for method, path in tries:
            async with gateway.http.request(method, gateway.url + path, headers=headers) as answer:
                text = await answer.text()
                for name, value in ARMOUR.items():
                    assert answer.headers[name.decode()] == value.decode(), (method, path)
                assert "server" not in {name.lower() for name in answer.headers}
                assert not [name for name in answer.headers if name.lower().startswith("access-control")]
                assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
                if answer.status >= 400:
                    assert answer.content_type == "application/problem+json", (method, path)
                    found = await answer.json(content_type=None)
                    assert found["status"] == answer.status
                    assert {"type", "title", "status", "detail", "instance"} <= set(found)
                for leak in ("Traceback", 'File "', "SELECT", "site-packages", "pydantic", "etc/passwd"):
                    assert leak not in text, (method, path)


async def test_a_token_that_is_none_is_refused_and_told(gateway: Gateway) -> None:
    """Missing, made up, expired, revoked, for something else: the answer says no more than that, the log says what it was."""
    expired_id, expired = gateway.token("read", now=int(time.time()) - 2 * 86_400)
    revoked_id, revoked = gateway.token("read")
    await gateway.until(lambda: gateway.ask("/livez", "", headers={}), "it")
    TokenStore(token_file(gateway.home)).revoke(revoked_id, int(time.time()))
    await asyncio.sleep(0.6)
    answers = []
    for text in ("bht_000000000000_" + "a" * 43, expired, revoked, "x" * 3000, "<script>"):
        found = await gateway.ask("/api/v1/risk", "", status=401, headers={"Authorization": f"Bearer {text}"})
        answers.append({name: found[name] for name in ("type", "title", "detail")})
    assert all(each == answers[0] for each in answers)
    await gateway.ask("/api/v1/risk", "", status=401)
    await gateway.ask(
        "/api/v1/commands/halt", "read", method="POST", status=403, json={"command_id": "a" * 8, "reason": "x"}
    )
    assert (await gateway.refused("NO_TOKEN")).who == ""
    assert (await gateway.refused("BAD_TOKEN")).who == ""
    assert (await gateway.refused("EXPIRED", expired_id)).door == "api"
    assert (await gateway.refused("REVOKED", revoked_id)).door == "api"
    scope = await gateway.refused("SCOPE")
    assert scope.address == "127.0.0.1"
    assert expired.split("_", 2)[2] not in gateway.log.read_text()


async def test_a_forged_webhook_is_refused_and_told(gateway: Gateway) -> None:
    """Without the token of alerts, were it an admin's, no alert comes in; the log knows which door was tried."""
    body = {"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "Forged"}}]}
    path = "/api/v1/webhooks/alertmanager"
    await gateway.ask(path, "", method="POST", status=401, json=body)
    await gateway.ask(path, "", method="POST", status=401, json=body, headers={"Authorization": "Bearer x"})
    await gateway.ask(path, "admin", method="POST", status=403, json=body)

    async def told() -> bool:
        refused = [each for each in await gateway.told() if isinstance(each, AccessRefused) and each.door == "webhook"]
        return {each.why for each in refused} == {"NO_TOKEN", "BAD_TOKEN", "SCOPE"}

    await gateway.until(told, "what the log says of it")
    alerts = [each for each in await gateway.told() if isinstance(each, AlertRaised)]
    assert not [each for each in alerts if "FORGED" in each.code]


async def test_a_session_is_a_cookie_that_only_our_own_pages_can_use(gateway: Gateway) -> None:
    """HttpOnly and SameSite=Strict; what changes something needs our header, and a page of somebody else is refused."""
    login = {"token": gateway.tokens["operate"]}
    foreign = {"Origin": "https://evil.example"}
    await gateway.ask("/api/v1/session", "", method="POST", status=403, json=login, headers=foreign)
    await gateway.ask("/api/v1/session", "", method="POST", status=401, json={"token": "x"})
    await gateway.ask("/api/v1/session", "", method="POST", status=403, json={"token": gateway.tokens["alerts"]})
    async with gateway.http.post(f"{gateway.url}/api/v1/session", json=login) as answer:
        cookie = answer.headers["Set-Cookie"]
        assert answer.status == 200
        assert gateway.tokens["operate"] not in await answer.text()
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    before_us = {"Origin": gateway.url.replace("http://", "https://")}  # what is in front of us speaks TLS
    async with gateway.http.post(f"{gateway.url}/api/v1/session", json=login, headers=before_us) as answer:
        assert "; Secure" in answer.headers["Set-Cookie"]
    with_cookie = {"Cookie": cookie.partition(";")[0]}
    body = {"command_id": "cookie-0001", "reason": "x", "wait_s": 0}
    path = "/api/v1/commands/reduce"
    assert (await gateway.ask("/api/v1/session", "", headers=with_cookie))["scopes"] == ["operate"]
    await gateway.ask(path, "", method="POST", status=403, json=body, headers=with_cookie)
    ours = {**with_cookie, "X-Bulkhead": "1"}
    for origin in ("https://evil.example", "null", gateway.url.replace("127.0.0.1", "localhost"), "http://127.0.0.1"):
        await gateway.ask(path, "", method="POST", status=403, json=body, headers={**ours, "Origin": origin})
    done = await gateway.ask(path, "", method="POST", status=202, json=body, headers={**ours, "Origin": gateway.url})
    assert done["command"] == "REDUCE"
    assert (await gateway.refused("ORIGIN")).door == "console"
    async with gateway.http.delete(f"{gateway.url}/api/v1/session", headers=ours) as answer:
        assert (answer.status, 'bulkhead_session=""' in answer.headers["Set-Cookie"]) == (204, True)


async def raw(gateway: Gateway, text: bytes, *, then: bytes = b"", pause_s: float = 0.0) -> bytes:
    """What a socket hears after it has said this."""
    port = int(gateway.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text)
        await writer.drain()
        await asyncio.sleep(pause_s)
        if then:
            writer.write(then)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_body_is_small_and_comes_in_time(gateway: Gateway) -> None:
    """Too large by its own word or in pieces: 413; too slow: 408; the connection ends, and the log knows."""
    head = b"POST /api/v1/commands/halt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer "
    head += gateway.tokens["operate"].encode() + b"\r\n"
    said = await raw(gateway, head + b"Content-Length: 99999999\r\n\r\n{")
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in said.lower()
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    said = await raw(gateway, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)
    assert said.startswith(b"HTTP/1.1 413 ")
    said = await raw(gateway, head + b"Content-Length: 500000\r\n\r\n" + b" " * 500_000)
    assert said.startswith(b"HTTP/1.1 413 ")
    said = await raw(gateway, head + b"Content-Length: 100\r\n\r\n{")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert (await gateway.refused("OVERSIZED")).who == gateway.ids["operate"]
    assert (await gateway.refused("SLOW_BODY")).what == "POST /api/v1/commands/halt"


async def test_what_is_no_http_ends_the_connection(gateway: Gateway) -> None:
    """Headers without end, two lengths, a length beside chunks: refused like everything else, and nobody else notices."""
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
    tries = {head + b"X: " + b"a" * 20_000: 431, head + b"X: " + b"a" * 20_000 + b"\r\n\r\n": 431}
    for headers in (b"Content-Length: 1\r\nContent-Length: 2\r\n", b"Host: y\r\n", b"X\r\n"):
        tries[head + headers + b"\r\n"] = 400
    tries[head + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] = 400
    for text, status in tries.items():
        said = await raw(gateway, text)
        top, _, body = said.partition(b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 %d " % status), said
        assert json.loads(body)["status"] == status
        worn = {**ARMOUR, b"content-type": b"application/problem+json", b"connection": b"close"}
        lines = {line.lower() for line in top.split(b"\r\n")}
        assert {(name + b": " + value).lower() for name, value in worn.items()} <= lines
    assert (await gateway.ask("/livez", "")) == {"alive": True}
    assert (await gateway.refused("MALFORMED")).what == "no request"
    assert "uvicorn" not in gateway.log.read_text()


async def test_a_file_of_tokens_that_is_broken_is_no_secret(gateway: Gateway) -> None:
    """Nobody is let in, and the health page says so without a path; as soon as the file is as it was, all is as it was."""
    file = token_file(gateway.home)
    kept = file.read_bytes()
    page = f"http://127.0.0.1:{gateway.health_port}/readyz"

    async def reasons() -> str:
        async with gateway.http.get(page) as answer:
            return await answer.text() if answer.status == 503 else ""

    file.write_text("{")
    try:
        said = await gateway.until(reasons, "the health page to say so", 5)
        await gateway.ask("/api/v1/risk", status=401)
    finally:
        file.write_bytes(kept)
    assert "nobody is let in" in said
    assert str(gateway.home) not in said
    await gateway.live()
    await gateway.ask("/api/v1/risk")


HOSTILE = (
    "' OR 1=1 --",
    "'; DROP TABLE events; --",
    '" UNION SELECT * FROM place --',
    "%' OR seq > 0 --",
    "../../../../etc/passwd",
    "\x00",
    "\u202e\U0001f4a5" * 5,
    "{{7*7}}${7*7}<script>alert(1)</script>",
    "-1",
    "1e999",
    "AAAAAAAAAAAA",
    "A" * 12,
)


async def test_hostile_values_change_nothing(gateway: Gateway) -> None:
    """In every filter, cursor and id: an empty answer, or a documented refusal, and the log and what is shown of it are as before."""

    async def picture() -> Any:
        return await gateway.ask("/api/v1/orders"), await gateway.ask("/api/v1/fills"), await gateway.nats.last_seq()

    before = await picture()
    filters = {
        "events": ("type", "role", "producer", "instrument", "correlation_id", "before", "after", "limit"),
        "orders": ("instrument", "before", "after", "limit"),
        "signals": ("agent", "before"),
    }
    for value in HOSTILE:
        for path, names in filters.items():
            for name in names:
                found = await gateway.ask(f"/api/v1/{path}", status=None, params={name: value})
                assert found.get("items", []) == [] if "items" in found else found["status"] == 422, (path, name, value)
        async with gateway.http.get(
            f"{gateway.url}/api/v1/trace/x", headers=gateway.bearer("read"), params={"wanted": value}
        ) as answer:
            assert answer.status == 404
        for wanted in (value, f"order:{value}", f"exec:{value}:{value}"):
            url = aiohttp.client.URL(gateway.url).with_path("/api/v1/trace/" + wanted.replace("/", "%2F"))
            async with gateway.http.get(url, headers=gateway.bearer("read")) as answer:
                assert answer.status in (404, 422), wanted
    assert await picture() == before


async def test_every_route_has_its_limits(tmp_path: Path) -> None:
    """By address before anybody asks who it is, by token after: 429 on every route, files and unknown paths too, with when to come again."""
    few = {
        "BULKHEAD_GATEWAY_RATE_ADDRESS": "200",
        "BULKHEAD_GATEWAY_RATE_CALLER": "10",
        "BULKHEAD_GATEWAY_RATE_FAILURES": "3",
    }
    everything = [*inventory(), RouteLine("/", "GET", ""), RouteLine("/nothing", "GET", ""), RouteLine("/x", "PUT", "")]
    async with gateway_in(tmp_path, seed=None, **few) as gateway:
        for _ in range(3):
            await gateway.ask("/api/v1/risk", "", status=401)
        await gateway.ask("/api/v1/risk", "", status=429)
        for _ in range(10):
            await gateway.ask("/api/v1/risk", "admin")
        for line in everything:
            if line.scope:
                assert await status_of(gateway, line, gateway.bearer("admin")) == 429, line
        await gateway.ask("/api/v1/risk", "operate")
        while await status_of(gateway, everything[-2], {}) != 429:
            pass
        for line in everything:
            for headers in ({}, gateway.bearer("operate")):
                assert await status_of(gateway, line, headers) == 429, line
        async with gateway.http.get(f"{gateway.url}/livez") as answer:
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
            assert answer.content_type == "application/problem+json"
        assert await raw(gateway, b"\x00\r\n\r\n") == b""
        assert (await gateway.refused("RATE")).count >= 1


async def test_who_guesses_is_told_about_but_does_not_fill_the_log(tmp_path: Path) -> None:
    """Many bad tokens are a handful of events and one alert; whoever has a token is let in all the same."""
    many = {"BULKHEAD_GATEWAY_RATE_ADDRESS": "100000", "BULKHEAD_GATEWAY_RATE_FAILURES": "30"}
    async with gateway_in(tmp_path, seed=None, **many) as gateway:
        bad = {"Authorization": "Bearer bht_000000000000_" + "a" * 43}
        for _ in range(150):
            await gateway.ask("/api/v1/risk", "", status=None, headers=bad)
        assert await gateway.ask("/api/v1/risk")

        async def alerted() -> list[AlertRaised]:
            told = [each for each in await gateway.told() if isinstance(each, AlertRaised)]
            return [each for each in told if each.code == "ACCESS_REFUSED_OFTEN"]

        (alert,) = await gateway.until(alerted, "the alert")
        assert alert.severity == "ticket"
        await gateway.stop()
        refused = [each for each in await gateway.told() if isinstance(each, AccessRefused)]
        assert sum(each.count for each in refused if each.why == "BAD_TOKEN") == 150
        assert len(refused) < 10
