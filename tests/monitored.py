"""A native stack with a simulated model, and Prometheus, Alertmanager, an emulated Telegram and a dead man's switch beside it, configured as `bulkhead monitoring` does.

async with monitored(tmp_path) as watched:
    await watched.answers('up{job="bulkhead"} == 1')
    text = await watched.reads("ServiceDown")       # a message that people got, that was not read before
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from libs.desk.tokens import TokenStore, token_file
from services.cli.child import die_with_parent
from services.cli.monitoring.settings import AlertSettings
from services.cli.monitoring_app import files_for
from services.cli.place import Place, find_place, processes_of
from services.cli.stack import RUNNING
from services.model_sim.server import ModelServer
from services.model_sim.settings import Settings as ModelSettings
from services.telegram_sim.server import TelegramServer, write_secret
from services.telegram_sim.settings import Settings as TelegramSettings
from tests.dead_mans_switch import DeadMansSwitch
from tests.e2e.stack_stand import Stack
from tests.nats_stack import free_block

CHAT = 1001
PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
AMTOOL_OLDEST = (0, 26)
SCRAPES = "30s"
"""What `$__rate_interval` stands for here: six scrapes."""


def missing() -> str:
    """Why nothing can be monitored here; "": it can."""
    if PROMETHEUS is None or ALERTMANAGER is None:
        return "prometheus and alertmanager are not installed here"
    done = subprocess.run([ALERTMANAGER, "--version"], capture_output=True, text=True, check=False)
    words = (done.stdout + done.stderr).partition("version ")[2].split(" ")[0].split(".")
    if tuple(int(each) for each in words[:2] if each.isdigit()) < AMTOOL_OLDEST:
        return "this alertmanager is older than 0.26, and does not read a bot's token from a file"
    return ""


class Watched:
    """The stack and who watches it; `telegram` and `switch` are what people and the outside hear."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.home = folder / "home"
        self.telegram = TelegramServer(TelegramSettings(home=folder))
        self.switch = DeadMansSwitch()
        self.model = ModelServer(ModelSettings(home=folder))
        self.stack: Stack
        self.http: aiohttp.ClientSession
        base = free_block(40) + 38  # behind the block that the stack takes next
        self.prometheus, self.alertmanager = f"127.0.0.1:{base}", f"127.0.0.1:{base + 1}"
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._read = 0

    async def start(self, **settings: Any) -> None:
        """Bring all of it up; returns when the stack is live and Prometheus has scraped it."""
        await self.telegram.start()
        await self.switch.start()
        await self.model.start()
        with _told({"BULKHEAD_LLM_URL": self.model.url, "BULKHEAD_LLM_MODEL": "sim"}):
            self.stack = Stack(self.home, RUNNING)
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        await self.stack.until(lambda: self.stack.shows("services are live"), 60)
        self.configure(**settings)
        conf = self.folder / "monitoring"
        await self._run(
            "prometheus", str(PROMETHEUS), f"--config.file={conf}/prometheus.yml", f"--storage.tsdb.path={conf}/data",
            f"--web.listen-address={self.prometheus}",
        )  # fmt: skip
        await self._run(
            "alertmanager", str(ALERTMANAGER), f"--config.file={conf}/alertmanager.yml", f"--storage.path={conf}/silences",
            f"--web.listen-address={self.alertmanager}", "--cluster.listen-address=",
        )  # fmt: skip
        await self._until_ready("alertmanager", self.alertmanager)
        await self.answers('count(up{job="bulkhead"} == 1) >= 11')

    def configure(self, without: tuple[str, ...] = (), beside: dict[str, str] | None = None, **settings: Any) -> None:
        """Write the files; `without` are services that Prometheus is not told of, `beside` are targets that are not ours."""
        conf, secrets = self.folder / "monitoring", self.folder / "secrets"
        secrets.mkdir(exist_ok=True)
        tokens = TokenStore(token_file(self.home))
        if not (secrets / "alerts_token").exists():
            write_secret(secrets / "alerts_token", tokens.create("alertmanager", ("alerts",), 1, int(time.time()))[1])
        write_secret(secrets / "telegram_token", self.telegram.token)
        write_secret(secrets / "watchdog_url", self.switch.url)
        place = self.place
        services = {name: url for name, url in place.services.items() if name not in without} | (beside or {})
        given = AlertSettings(**{"alert_telegram_chat": CHAT, **settings})
        texts = files_for(
            Place(home=place.home, nats_url=place.nats_url, stream=place.stream, services=services, mode=place.mode),
            given,
            folder=conf,
            prometheus=self.prometheus,
            alertmanager=self.alertmanager,
            secrets=secrets,
            telegram_api=self.telegram.url,
        )
        for name, text in texts.items():
            (conf / name).parent.mkdir(parents=True, exist_ok=True)
            (conf / name).write_text(text)

    def reload(self) -> None:
        """Prometheus reads its files again."""
        self._processes["prometheus"].send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End everything that was started here."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:  # Prometheus, told to stop while it reads its files again, may wait for ever
                process.kill()
                await process.wait()
        await self.http.close()
        await self.stack.abandon()
        await self.telegram.stop()
        await self.switch.stop()
        await self.model.stop()

    @property
    def place(self) -> Place:
        """Where the stack is."""
        return find_place(self.home)

    def pid(self, service: str) -> int:
        """The process of a service."""
        return processes_of(self.place)[service]

    @asynccontextmanager
    async def kept_down(self, service: str) -> AsyncIterator[None]:
        """While this lasts, every process of a service is ended as soon as its supervisor has started it."""
        ending = asyncio.create_task(self._end_for_ever(service))
        try:
            yield
        finally:
            ending.cancel()

    async def _end_for_ever(self, service: str) -> None:
        while True:
            with suppress(KeyError, ProcessLookupError):
                os.kill(self.pid(service), signal.SIGKILL)
            await asyncio.sleep(0.2)

    # --- asking -------------------------------------------------------------------------------------------------

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """What Prometheus answers now: series with their values; NaN is no value."""
        asked = {"query": expr.replace("$__rate_interval", SCRAPES)}
        async with self.http.post(f"http://{self.prometheus}/api/v1/query", data=asked) as answer:
            found = await answer.json()
        assert found["status"] == "success", f"{expr}: {found.get('error')}"
        result = found["data"]["result"]
        return [each for each in result if each["value"][1] != "NaN"]

    async def course(self, expr: str, seconds: float, step_s: float = 5) -> list[dict[str, Any]]:
        """The same over the last `seconds`."""
        now = time.time()
        asked = {"query": expr.replace("$__rate_interval", SCRAPES), "start": now - seconds, "end": now, "step": step_s}
        async with self.http.post(f"http://{self.prometheus}/api/v1/query_range", data=asked) as answer:
            found = await answer.json()
        assert found["status"] == "success", f"{expr}: {found.get('error')}"
        series: list[dict[str, Any]] = found["data"]["result"]
        return series

    async def comes(self, condition: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
        """The first answer of `condition` that is true."""
        async with asyncio.timeout(seconds):
            while True:
                if found := await condition():
                    return found
                await asyncio.sleep(1)

    async def answers(self, expr: str, seconds: float = 60) -> list[dict[str, Any]]:
        """The first answer that is not empty."""
        async with asyncio.timeout(seconds):
            while True:
                with suppress(aiohttp.ClientError):
                    if found := await self.query(expr):
                        return found
                await asyncio.sleep(0.5)

    async def reads(self, *words: str, seconds: float = 60) -> str:
        """The first message with all of these words that people have not read yet."""
        async with asyncio.timeout(seconds):
            while True:
                for place, sent in enumerate(self.telegram.chats.sent[self._read :], self._read):
                    if all(word in sent.text for word in words):
                        self._read = place + 1
                        return sent.text
                await asyncio.sleep(0.1)

    async def _until_ready(self, name: str, address: str) -> None:
        for _ in range(100):
            with suppress(aiohttp.ClientError):
                async with self.http.get(f"http://{address}/-/ready") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{name} is not ready:\n{(self.folder / f'{name}.log').read_text()[-1000:]}")

    async def _run(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as out:
            self._processes[name] = await asyncio.create_subprocess_exec(
                *command, stdout=out, stderr=out, preexec_fn=die_with_parent(os.getpid())
            )


@contextmanager
def _told(variables: dict[str, str]) -> Iterator[None]:
    """These stand in the environment while a stack is planned."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


@asynccontextmanager
async def monitored(folder: Path, **settings: Any) -> AsyncIterator[Watched]:
    """All of it, brought up and taken down again."""
    watched = Watched(folder)
    try:
        await watched.start(**settings)
        yield watched
    finally:
        await watched.stop()
