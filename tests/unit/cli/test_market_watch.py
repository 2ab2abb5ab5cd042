"""What `up` and `status` say of the market and the venue, from the answers of servers that are well and of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from services.cli import market_watch
from services.cli.market_watch import tell_of_market, venue_line


@asynccontextmanager
async def serving(path: str, *answers: tuple[int, Any]) -> AsyncIterator[str]:
    """A server that gives these answers in turn, the last for ever."""
    left = list(answers)

    async def answer(request: web.Request) -> web.Response:
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_market_that_does_not_answer_is_told_once_and_then_that_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same trouble is not told again; what to do is told with it."""
    monkeypatch.setattr(market_watch, "POLL_S", 0.01)
    said: list[str] = []
    async with serving("/api/v3/ping", (451, {}), (451, {}), (503, {}), (200, {})) as url:
        await asyncio.wait_for(
            tell_of_market(url, lambda text, style: said.append(text), "orders go to the paper venue, no key is used"),
            5,
        )
        assert [
            f"NO PRICES: {url} does not answer (HTTP {status})" in line
            for status, line in zip((451, 503), said, strict=False)
        ] == [True, True]
        assert "it does not serve your country" in said[0]
        assert "the live market of" in said[2]
    assert len(said) == 3


@pytest.mark.parametrize(
    ("mode", "answer", "words", "trouble"),
    [
        (
            "paper",
            (200, {"market": {}, "speed": 1.0, "out_of_sight": []}),
            "paper: the live market of M in wall time",
            "",
        ),
        (
            "paper",
            (200, {"out_of_sight": ["BTC-USDT"]}),
            "paper: the live",
            "it does not see BTC-USDT: nothing fills there",
        ),
        ("paper", (503, {"code": -1001, "msg": "cannot be had"}), "paper: the live", "cannot be had"),
        ("sim", (200, {"market": {"market": "generated"}, "speed": 20.0}), "sim: generated market at", ""),
        ("sim", (500, {}), "sim: a simulated market at", "it answers HTTP 500"),
        ("sim", (200, []), "sim: a simulated market at", "it does not answer: ValidationError"),
    ],
)
async def test_the_venue_says_how_it_is(mode: str, answer: tuple[int, Any], words: str, trouble: str) -> None:
    """In one line, with what is wrong apart from it."""
    async with serving("/sim/state", answer) as url:
        line, wrong = await venue_line(mode, url, "M")
    assert line.startswith(words)
    assert wrong == trouble


async def test_where_no_venue_is_known_nothing_is_said_of_it() -> None:
    """A stack without one is not in trouble."""
    assert await venue_line("", "", "") == ("", "")
