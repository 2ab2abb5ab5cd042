"""What every request goes through, tried on an application that misbehaves: late, broken, silent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from libs.desk.tokens import TokenBook, TokenStore
from libs.runtime.metrics import ServiceMetrics
from services.gateway.doors import ARMOUR, CROWDED, Doors
from services.gateway.gatekeeper import Gatekeeper
from services.gateway.refusals import Refusals
from services.gateway.settings import Settings

PATH = "/api/v1/risk"


class Visit:
    """One request to an application behind the doors."""

    def __init__(self, folder: Path, app: Callable[[Scope, Receive, Send], Awaitable[None]], **settings: Any):
        made = Settings(home=folder, gateway_token_file=folder / "tokens.json", **settings)
        store = TokenStore(made.tokens)
        _, self.token = store.create("ada", ("read",), 1, int(time.time()))
        self.metrics = ServiceMetrics("gateway")

        async def tell(_: object) -> None:
            return

        refusals = Refusals(self.metrics, tell, tell)
        keeper = Gatekeeper(made, TokenBook(made.tokens), refusals)
        self.doors = Doors(app, made, keeper, self.metrics, lambda _method, path: path)
        self.sent: list[Message] = []

    async def come(self, *said: Message, method: str = "GET", path: str = PATH, **headers: str | None) -> int:
        """The status of the answer; 0: there is none."""
        self.sent.clear()
        waiting = list(said) or [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            return waiting.pop(0) if waiting else await asyncio.Event().wait() or {}

        async def send(message: Message) -> None:
            self.sent.append(message)

        named = {"authorization": f"Bearer {self.token}", "host": "desk", **headers}
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "scheme": "http",
            "client": ("10.0.0.1", 5),
            "state": {CROWDED: True} if named.pop("crowded", None) else {},
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in named.items() if value is not None
            ],
        }
        await self.doors(scope, receive, send)
        return self.sent[0]["status"] if self.sent else 0

    @property
    def problem(self) -> dict[str, Any]:
        """The document of the answer."""
        return json.loads(self.sent[1]["body"])


async def answers(_scope: Scope, receive: Receive, send: Send) -> None:
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"server", b"secret/1.0")]})
    await send({"type": "http.response.body", "body": body})


async def test_an_answer_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    """504, as a problem; a stream may take as long as it likes."""

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1.2)
        await answers(scope, receive, send)

    visit = Visit(tmp_path, late, gateway_answer_s_max=1)
    assert await visit.come() == 504
    assert visit.problem["type"] == "urn:bulkhead:problem:too-slow"
    assert await visit.come(path="/api/v1/stream") == 200


async def test_a_defect_is_an_answer_that_says_nothing_of_it(tmp_path: Path) -> None:
    """500 and the name under which the log has it; what was in the exception stays there."""

    async def breaks(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("SELECT hunter22 FROM secrets")

    visit = Visit(tmp_path, breaks)
    assert await visit.come() == 500
    assert "hunter22" not in str(visit.sent)
    assert visit.problem["instance"].startswith("urn:bulkhead:request:")


async def test_a_client_that_leaves_gets_no_answer(tmp_path: Path) -> None:
    """In the middle of its body: nothing is done, and nothing breaks."""
    visit = Visit(tmp_path, answers)
    piece = {"type": "http.request", "body": b"{", "more_body": True}
    assert await visit.come(piece, {"type": "http.disconnect"}, method="POST") == 0


async def test_what_passes_is_passed_on_as_it_is_and_counted(tmp_path: Path) -> None:
    """The body whole, whatever pieces it came in; nothing says who serves it."""
    visit = Visit(tmp_path, answers)
    pieces = [{"type": "http.request", "body": b'{"a"', "more_body": True}, {"type": "http.request", "body": b":1}"}]
    assert await visit.come(*pieces, method="POST", content_type="application/json") == 200
    assert visit.sent[1]["body"] == b'{"a":1}'
    assert b"secret/1.0" not in str(visit.sent[0]).encode()
    shown = visit.metrics.exposition()[0].decode()
    assert f'bulkhead_http_requests_total{{route="POST {PATH}",service="gateway",status="200"}} 1.0' in shown


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": ""},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer bht_x_y"},
        {"authorization": "nonsense", "cookie": "bulkhead_session=x"},
        {"authorization": "x", "x_forwarded_for": "127.0.0.1"},
    ],
)
async def test_nothing_but_a_token_opens(tmp_path: Path, headers: dict[str, str]) -> None:
    """Another scheme, half a token, a header of a proxy: 401, and the application is not asked."""

    async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("asked")

    visit = Visit(tmp_path, never)
    assert await visit.come(**headers) == 401
    assert visit.problem["title"] == "Unauthorized"


async def test_a_cookie_that_is_worth_nothing_is_taken_back(tmp_path: Path) -> None:
    """Or a browser would bring it for ever, and count as a stranger who guesses."""
    visit = Visit(tmp_path, answers)
    assert await visit.come(authorization=None, cookie="bulkhead_session=bht_old") == 401
    cookies = [value for name, value in visit.sent[0]["headers"] if name == b"set-cookie"]
    assert any(b"Max-Age=0" in each for each in cookies)


async def test_a_hostile_cookie_costs_no_time(tmp_path: Path) -> None:
    """The library's parser takes minutes for a quoted value full of backslashes; nobody needs a token to send one."""
    visit = Visit(tmp_path, answers)
    began = time.monotonic()
    assert await visit.come(authorization=None, cookie='bulkhead_session="' + "\\1" * 7_000 + '"') == 401
    assert time.monotonic() - began < 0.2


async def test_a_cookie_is_found_among_others(tmp_path: Path) -> None:
    """Whatever other pages of this host have left in the browser."""
    visit = Visit(tmp_path, answers)
    for others in ("a=b; {}", "{}; a=b;c", '  x="y;z; {};;', "\xff=\xfe; {}"):
        assert await visit.come(authorization=None, cookie=others.format(f"bulkhead_session={visit.token}")) == 200
    for wrong in ("xbulkhead_session={}", "bulkhead_session =x; y={}", "a=bulkhead_session={}"):
        assert await visit.come(authorization=None, cookie=wrong.format(visit.token)) == 401


async def test_no_route_is_shown_a_credential(tmp_path: Path) -> None:
    """Who asks is known before any route: none can repeat a token, or parse a cookie."""
    shown: list[bytes] = []

    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        shown.extend(name for name, _ in scope["headers"])
        await answers(scope, receive, send)

    assert await Visit(tmp_path, looks).come(cookie="a=b") == 200
    assert shown == [b"host"]


async def test_headers_have_an_end(tmp_path: Path) -> None:
    """Also where they come at one go: 431, on record, whoever sends them."""
    visit = Visit(tmp_path, answers)
    assert await visit.come(x="a" * 15_000) == 200
    assert await visit.come(x="a" * 16_384) == 431
    assert visit.problem["type"] == "urn:bulkhead:problem:headers-too-large"
    assert 'why="OVERSIZED"' in visit.metrics.exposition()[0].decode()


async def test_a_body_has_one_length(tmp_path: Path) -> None:
    """With a length beside chunks two readers could see two requests: 400, and the line is closed."""
    visit = Visit(tmp_path, answers)
    both = {"content_length": "3", "transfer_encoding": "chunked", "content_type": "application/json"}
    assert await visit.come(method="POST", **both) == 400
    assert (b"connection", b"close") in [(name.lower(), value) for name, value in visit.sent[0]["headers"]]
    assert visit.problem["type"] == "urn:bulkhead:problem:two-lengths"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
async def test_a_body_is_utf_8(tmp_path: Path, encoding: str) -> None:
    """JSON in another encoding is what some readers understand and others do not: nobody is asked to guess."""
    visit = Visit(tmp_path, answers)
    body = {"type": "http.request", "body": '{"a": 1}'.encode(encoding)}
    assert await visit.come(body, method="POST", content_type="application/json") == 400


async def test_one_connection_too_many_is_told_so(tmp_path: Path) -> None:
    """503 before anything is looked at, on record, with when to come again."""
    visit = Visit(tmp_path, answers)
    assert await visit.come(crowded="yes") == 503
    assert visit.problem["type"] == "urn:bulkhead:problem:too-many-connections"
    assert 'why="CROWDED"' in visit.metrics.exposition()[0].decode()


async def test_what_is_no_request_counts_like_one(tmp_path: Path) -> None:
    """Its answer wears what all wear; when its address has come too often there is none."""
    visit = Visit(tmp_path, answers, gateway_rate_address=10)
    found = [visit.doors.no_request("10.0.0.1", 400) for _ in range(11)]
    assert found.pop() is None
    assert all(each is not None and each.status_code == 400 for each in found)
    assert found[0] is not None
    assert set(ARMOUR) <= {name for name, _ in found[0].raw_headers}
    assert await visit.come() == 429
