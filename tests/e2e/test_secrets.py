"""Known secrets in every service, errors of every kind around them, and not one of them anywhere afterwards.

Real processes on a real bus: services that are refused by the venue, cannot reach their database, are told junk that holds the
secrets themselves, and crash with a secret on their lips. Searched are logs, health pages, metrics, traces, snapshots and books, every
event of every stream and the headers of DEAD, for each secret in every form it could travel in.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from libs.common.codec import encode
from libs.common.messages import AlertRaised, FeedBars, FeedHistory, FeedStatus, GenesisDeclared, Message
from libs.common.subjects import subject_of
from libs.desk.tokens import TokenStore, token_file
from libs.runtime.nats_config import key_file
from libs.runtime.registry import SERVICES
from libs.runtime.settings import EX_CONFIG
from libs.runtime.streams import DEAD, MARKET, TRADING
from services.cli.stack_keys import ensure_secrets
from tests.e2e.live_services import Log, Pen, until
from tests.nats_stack import NatsStack, free_ports
from tests.otlp_receiver import OtlpReceiver

ROOT = Path(__file__).parents[2]
RUNNING = {name: module for name, module in SERVICES.items() if name != "cli"}
DOORS = {"gateway", "telegram-bot"}
"""They handle no inputs, so there is nothing of theirs to trace."""

CRASHING = """
import sys
from pathlib import Path
from libs.runtime import process
from services.{package}.contract import CONTRACT
from services.{package}.machine import {machine} as Machine
from services.{package}.settings import Settings

class Talkative(Machine):
    def handle(self, event, now):
        raise RuntimeError("it failed with " + Path(sys.argv[1]).read_text())

process.run(CONTRACT, Talkative, Settings, adapter={adapter}, seal={seal})
"""


# --- what must not be found -----------------------------------------------------------------------------------------


class Planted:
    """The secrets of one run, by what they are."""

    def __init__(self, home: Path):
        files = ensure_secrets(home)
        wrong = home / "keys" / "venue-api-wrong"
        wrong.write_text(secrets.token_hex(32))
        wrong.chmod(0o600)
        gate = load_pem_private_key(files.gate_key.read_bytes(), password=None)
        self.files, self.wrong_secret, self.password = files, wrong, secrets.token_urlsafe(24)
        self.database_url = home / "keys" / "database-url"
        self.database_url.write_text(f"postgresql://bulkhead:{self.password}@127.0.0.1:1/books\n")
        self.database_url.chmod(0o600)
        _, token = TokenStore(token_file(home)).create("somebody", ("admin",), 1, int(time.time()))
        self.texts = {
            "api token": token.split("_", 2)[2],
            "api key": files.api_key.read_text().strip(),
            "api secret": files.api_secret.read_text().strip(),
            "wrong api secret": wrong.read_text().strip(),
            "gate key": gate.private_bytes_raw().hex(),
            "gate pem": files.gate_key.read_text().splitlines()[1],
            "database password": self.password,
            **{f"nkey of {name}": key_file(home, name).read_text().strip() for name in RUNNING},
        }

    def found_in(self, where: str, content: bytes) -> list[str]:
        """Which secrets stand in `content`, in any form."""
        return [
            f"{what} in {where}: ...{content[max(0, content.find(form) - 60) : content.find(form)]!r}"
            for what, text in self.texts.items()
            for form in forms(text)
            if form in content
        ]


def forms(text: str) -> Iterator[bytes]:
    """A secret as it stands, in hex, URL escaped, and in base64 wherever it begins."""
    raw = text.encode()
    yield from (raw, raw.hex().encode(), raw.hex().upper().encode(), quote(text, safe="").encode())
    with contextlib.suppress(ValueError):
        yield base64.b64encode(bytes.fromhex(text)).rstrip(b"=")
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + raw).rstrip(b"=")
        yield coded[offset + 1 : -2]
        yield coded[offset + 1 : -2].replace(b"+", b"-").replace(b"/", b"_")


# --- the stack ------------------------------------------------------------------------------------------------------


class Processes:
    """Real services, each with its words in a file of its own."""

    def __init__(self, nats: NatsStack, planted: Planted, endpoint: str):
        self.home, self.planted = nats.home, planted
        self.logs = nats.home / "logs"
        names = [*RUNNING, "exchange-sim", "crash 1", "crash 2"]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        sim = self.ports["exchange-sim"]
        files = planted.files
        self.common = {
            "BULKHEAD_HOME": str(nats.home),
            "BULKHEAD_NATS_URL": nats.url,
            "BULKHEAD_OTLP_ENDPOINT": endpoint,
            "BULKHEAD_CLOCK_URL": f"ws://127.0.0.1:{sim}/sim/clock",
            "BULKHEAD_VENUE_URL": f"http://127.0.0.1:{sim}",
            "BULKHEAD_LOG_LEVEL": "debug",
        }
        self.special = {
            "gateway": {"BULKHEAD_GATEWAY_PORT": "0"},
            "exchange-sim": {
                "BULKHEAD_SIM_PORT": str(sim),
                "BULKHEAD_SIM_SPEED": "20",
                "BULKHEAD_SIM_API_KEY_FILE": str(files.api_key),
                "BULKHEAD_SIM_API_SECRET_FILE": str(files.api_secret),
            },
            "market-feed": {"BULKHEAD_FEED_HISTORY_BARS": "16", "BULKHEAD_FEED_HISTORY_WEEKS": "1"},
            "risk-gate": {"BULKHEAD_RISK_SIGNING_KEY_FILE": str(files.gate_key)},
            "order-executor": {
                "BULKHEAD_EXEC_API_KEY_FILE": str(files.api_key),
                "BULKHEAD_EXEC_API_SECRET_FILE": str(planted.wrong_secret),
                "BULKHEAD_EXEC_GATE_PUBLIC_KEY": files.gate_public_key,
            },
            "ledger": {"BULKHEAD_DATABASE_URL_FILE": str(planted.database_url)},
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], special_of: str = "") -> subprocess.Popen[bytes]:
        """Start one process."""
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("BULKHEAD_", "DATABASE_"))}
        special = self.special.get(special_of or name, {})
        env = {**plain, **self.common, **special, "BULKHEAD_HTTP_PORT": str(self.ports[name])}
        with (self.logs / f"{name}.log").open("ab") as words:
            self.running[name] = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=env, stdout=words, stderr=words
            )
        return self.running[name]

    def service(self, name: str) -> subprocess.Popen[bytes]:
        """Start one service."""
        return self.start(name, ["-m", {**RUNNING, "exchange-sim": "services.exchange_sim"}[name]])

    def words(self, name: str) -> str:
        """What one has said so far."""
        return (self.logs / f"{name}.log").read_text()

    async def wait(self, name: str) -> int:
        """Its exit code, once it has ended."""
        process = self.running.pop(name)
        await until(lambda: process.poll() is not None)
        return process.returncode

    async def pages(self) -> dict[str, bytes]:
        """Every page of every service."""
        found = {}
        async with aiohttp.ClientSession() as http:
            for name in RUNNING:
                for page in ("livez", "readyz", "metrics", "nothing"):
                    async with http.get(f"http://127.0.0.1:{self.ports[name]}/{page}") as answer:
                        found[f"{name}/{page}"] = await answer.read()
        return found

    def end(self) -> None:
        """Let nobody outlive the test."""
        for process in self.running.values():
            process.kill()
            process.wait()


@pytest.fixture
async def collector() -> AsyncIterator[OtlpReceiver]:
    """Where traces go."""
    made = OtlpReceiver()
    await made.start()
    yield made
    await made.stop()


# --- what goes wrong ------------------------------------------------------------------------------------------------


def hostile(message: Message, text: str) -> list[bytes]:
    """Ways to make somebody repeat `text` who only wants to say what is wrong with an event."""
    fields = msgspec.to_builtins(message)
    changes: list[dict[str, Any]] = [
        {"type": text},
        {text: 1},
        {"id": text, "correlation_id": text, "causation_id": text, "more": 1},
        {"producer": text},
        {"ts_init": text},
        {"severity": text, "state": text, "venue": text},
        {"done_in_seq": {text: text}},
    ]
    return [text.encode(), *(msgspec.json.encode({**fields, **change}) for change in changes)]


async def plant(pen: Pen, texts: list[str]) -> set[int]:
    """Every secret in every shape, where every service reads it; the seqs of what was planted."""
    status = FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=())
    told = [pen.filled_in(each) for each in (FeedBars(end_ts=1, bars=()), status, _alert("x"))]
    seqs = set()
    for text in texts:
        trace = f"00-{text.encode().hex()[:32]}-{text.encode().hex()[:16]}-01"
        for message in told:
            for payload in hostile(message, text):
                seqs.add(await pen.write(subject_of(message), payload, traceparent=trace))
        history = FeedHistory(instrument=text, timeframe="1m", bars=())
        seqs.add(await pen.write("feed.history.BTC-USDT.1m", encode(pen.filled_in(history))))
        seqs.add(await pen.write(f"feed.history.{text}.1m", b"?"))
    return seqs


def _alert(text: str) -> AlertRaised:
    return AlertRaised(code="TEST", severity="note", text=text)


async def crash_talking(processes: Processes) -> None:
    """Two machines end with a secret of theirs in the exception."""
    files = processes.planted.files
    gate = CRASHING.format(package="risk_gate", machine="RiskMachine", adapter=None, seal="Settings.seal")
    venue = "__import__('services.order_executor.adapters.ccxt_venue', fromlist=['x']).CcxtVenue"
    executor = CRASHING.format(package="order_executor", machine="OrderExecutorMachine", adapter=venue, seal=None)
    processes.start("crash 1", ["-c", gate, str(files.gate_key)], "risk-gate")
    processes.start("crash 2", ["-c", executor, str(processes.planted.wrong_secret)], "order-executor")
    for name in ("crash 1", "crash 2"):
        assert await processes.wait(name) == 70, processes.words(name)
        assert "it failed with" in processes.words(name)


async def refuse_open_keys(processes: Processes) -> None:
    """Keys that others may read stop their services before they begin."""
    files = processes.planted.files
    paths = (files.gate_key, processes.planted.wrong_secret, key_file(processes.home, "ledger"))
    for path in paths:
        path.chmod(0o644)
    for name in ("risk-gate", "order-executor", "ledger"):
        processes.service(name)
    for name in ("risk-gate", "order-executor", "ledger"):
        assert await processes.wait(name) == EX_CONFIG, processes.words(name)
    for path in paths:
        path.chmod(0o600)


async def all_messages(log: Log, stream: str) -> AsyncIterator[tuple[int, str, bytes, bytes]]:
    """Seq, subject, headers and payload of every message of a stream."""
    seq = 1
    while True:
        answer = await log._admin.ask(f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": seq, "next_by_subj": ">"})
        if "error" in answer:
            return
        found = answer["message"]
        headers, payload = (base64.b64decode(found.get(name, "")) for name in ("hdrs", "data"))
        yield found["seq"], found["subject"], headers, payload
        seq = found["seq"] + 1


async def test_no_secret_is_found_anywhere(nats: NatsStack, collector: OtlpReceiver) -> None:
    """Whatever goes wrong, and whoever tries to make a service say it, no secret leaves the file it stands in."""
    planted = Planted(nats.home)
    processes = Processes(nats, planted, collector.endpoint)
    log, feed, cli = await Log.of(nats), await Pen.of(nats, "market-feed"), await Pen.of(nats, "cli")
    try:
        processes.service("exchange-sim")
        await refuse_open_keys(processes)
        ours = await plant(feed, list(planted.texts.values())[:8])
        await cli.say(GenesisDeclared(book="main", mode="paper", author="me"))
        await crash_talking(processes)
        for name in RUNNING:
            processes.service(name)
        for writer in ("agent.trend", "portfolio", "risk", "exec", "ledger", "notify", "feed"):
            await log.until(f"{writer}.rejected", 10)
        accounts = await log.until("exec.account")
        assert [each.ok for each in accounts][:1] == [False], "the venue must refuse the signature"
        await until(lambda: "projection down" in processes.words("ledger"))
        await log.until("feed.marks", 3)
        pages = await processes.pages()
        for process in processes.running.values():
            process.send_signal(signal.SIGTERM)
        codes = {name: await processes.wait(name) for name in [*processes.running]}
        assert set(codes.values()) == {0}, codes
    finally:
        processes.end()
    found = await search(nats, log, planted, ours)
    for where, content in pages.items():
        found += planted.found_in(where, content)
    found += planted.found_in("traces", collector.bodies)
    assert found == []
    assert collector.services >= set(RUNNING) - DOORS


async def search(nats: NatsStack, log: Log, planted: Planted, ours: set[int]) -> list[str]:
    """Secrets in files and streams. What an attacker has written is found where he wrote it, which shows that we can see."""
    found, seen = [], []
    for stream in (TRADING, MARKET, DEAD):
        async for seq, subject, headers, payload in all_messages(log, stream):
            original = int(subject.rpartition(".")[2]) if stream == DEAD else seq
            if stream != MARKET and original in ours:
                seen += planted.found_in(subject, subject.encode() + payload)
                found += planted.found_in(f"headers of {subject}", headers) if stream == DEAD else []
            else:
                found += planted.found_in(f"{stream} {seq} {subject}", headers + payload)
    assert len({each.partition(" in ")[0] for each in seen}) >= 8
    for path in sorted(nats.home.rglob("*")):
        inside = path.relative_to(nats.home).parts
        if path.is_file() and inside[0] != "keys" and inside[:2] != ("nats", "store"):
            found += planted.found_in(str(path.relative_to(nats.home)), await asyncio.to_thread(path.read_bytes))
    assert (nats.home / "snapshots" / "risk.snapshot").exists()
    assert json.loads((nats.home / "logs" / "risk-gate.log").read_text().splitlines()[-1])["event"]
    return found
