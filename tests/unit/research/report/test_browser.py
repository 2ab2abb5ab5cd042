"""The page in a real browser, where there is one: every chart is drawn, nobody is called, nothing is complained of."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from libs.research.report import write_report
from tests.unit.research.report.samples import HOSTILE, NAME, forty_days

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
PATIENCE_S = 100.0
DRAWN = """(() => {
  const nodes = [...document.querySelectorAll(".chart")];
  nodes.find((node) => !node.dataset.drawn)?.scrollIntoView();
  return document.readyState === "complete" && nodes.length > 0 && nodes.every((node) => node.querySelector(".main-svg"));
})()"""


class Tab:
    """One tab of the browser, told what to do over its debugging socket; what it reports meanwhile is kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.reports: list[dict[str, Any]] = []
        self._socket = socket
        self._asked = 0

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask and wait for the answer."""
        self._asked += 1
        await self._socket.send_json({"id": self._asked, "method": method, "params": params})
        while True:
            said = await self._socket.receive_json()
            if said.get("id") == self._asked:
                return said["result"]
            self.reports.append(said)

    async def value(self, expression: str) -> Any:
        """What an expression is worth in the page."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def told(self, *methods: str) -> list[Any]:
        """What was reported under these names."""
        return [each["params"] for each in self.reports if each.get("method") in methods]


@asynccontextmanager
async def opened(profile: Path) -> AsyncIterator[Tab]:
    """A browser of its own with an empty tab."""
    command = [str(CHROMIUM), *OPTIONS, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    browser = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        place = profile / "DevToolsActivePort"
        while not place.exists() or len(place.read_text().split()) < 2:
            assert browser.returncode is None, "the browser did not start"
            await asyncio.sleep(0.05)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{place.read_text().split()[0]}") as session:
            while True:
                tabs = await (await session.get("/json")).json()
                found = [each["webSocketDebuggerUrl"] for each in tabs if each["type"] == "page"]
                if found:
                    break
                await asyncio.sleep(0.05)
            async with session.ws_connect(found[0], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        if browser.returncode is None:
            browser.terminate()
        await asyncio.wait_for(browser.wait(), 20)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
async def test_a_browser_draws_every_chart_and_runs_nothing_else(tmp_path: Path) -> None:
    """Four charts under the page's own policy, with names in them that are markup; the console stays empty and nothing is asked for."""
    result = forty_days()
    trips = [
        msgspec.structs.replace(each, reason=HOSTILE, agents=(HOSTILE + str(place % 2),))
        for place, each in enumerate(result.trips.closed)
    ]
    closed = msgspec.structs.replace(result.trips, closed=tuple(trips))
    path = tmp_path / "report.html"
    write_report(msgspec.structs.replace(result, trips=closed, code_version=HOSTILE), path)
    async with asyncio.timeout(PATIENCE_S), opened(tmp_path / "profile") as tab:
        for part in ("Log", "Runtime", "Network", "Page"):
            await tab.ask(f"{part}.enable")
        await tab.ask("Page.navigate", url=path.as_uri())
        while not await tab.value(DRAWN):  # noqa: ASYNC110  the page is in another process
            await asyncio.sleep(0.05)
        dom = await tab.value("document.documentElement.outerHTML")
        charts = await tab.value('[...document.querySelectorAll(".chart")].map((node) => node.id)')
    assert charts == ["chart-equity", "chart-price-0", "chart-sensitivity", "chart-by-agent"]
    assert tab.told("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []
    asked = {each["request"]["url"] for each in tab.told("Network.requestWillBeSent")}
    assert {each for each in asked if not each.startswith(("data:", "blob:"))} == {path.as_uri()}
    assert NAME in dom
    titles = set(re.findall(r'data-title="([^"]*)"', dom))
    assert "Pan" in titles
    assert [each for each in titles if re.search("share|cloud|edit", each, re.IGNORECASE)] == []
    assert "<img" not in re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)
    assert 'xlink:href="https' not in dom
