"""Where submissions are measured: the order executor as `python -m` runs it, the floor, a synced nats-server, a venue behind a tap.

    this process: gate, feed ──▶ nats-server ──▶ executor ──▶ tap ──▶ exchange_sim       risk.approved → exec.submitting → POST
                                             └─▶ floor ─────▶ tap, which answers {}      floor.approved → floor.submitting → POST

Every box is a process of its own. All orders are LIMIT IOC three percent below the market: they pass the executor's price band,
reach the venue, fill nothing, rest nowhere; so nothing follows them but their reports.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from benchmarks.stamps import nanoseconds
from benchmarks.submission_floor import READY, STREAM
from libs.common.approval import sign
from libs.common.codec import encode
from libs.common.ids import cl_ord_id_of, derive_id
from libs.common.messages import FeedMarks, FeedStatus, GenesisDeclared, Mark, Message, OrderApproved
from libs.common.money import floor_to_step
from libs.common.subjects import subject_of
from libs.runtime.streams import TRADING, stream_configs
from services.cli.child import die_with_parent
from services.cli.stack_keys import ensure_secrets
from services.exchange_sim.listing import listing_of
from tests.e2e.live_services import Log, Pen, until
from tests.e2e.venue_stand import run_venue
from tests.nats_stack import NatsStack, User, free_ports

BTC = "BTC-USDT"
SUBJECTS = {"ours": "exec.submitting.BTC-USDT", "floor": "floor.submitting.BTC-USDT"}
STREAMS = {"ours": TRADING, "floor": STREAM}
PATIENCE_S = 20.0
VALID_NS = 10_000_000_000
_SERIES = re.compile(r"^(\w+?)_(sum|count)\{(.*)\} (\S+)$", re.MULTILINE)


class Approved(msgspec.Struct):
    """One approval on its way: where it stands in which stream, its order's id, and when its append was answered (ns)."""

    who: str
    seq: int
    cl_ord_id: str
    acked: int
    arrived: int = 0


class SubmissionStand:
    """Everything up; approvals in, arrivals out."""

    def __init__(self, home: Path, stack: AsyncExitStack):
        self.home = home
        self.nats = NatsStack(home)
        self.ports: tuple[int, int]
        self._stack = stack
        self._pens: dict[str, Pen] = {}
        self._admin: User
        self._tap: asyncio.subprocess.Process
        self._metrics_port = free_ports(1)[0]
        self._px = Decimal(0)
        self._reports: asyncio.Queue[None] = asyncio.Queue()

    async def start(self) -> None:
        """Bring everything up, open the book, and wait until entries are taken."""
        await self.nats.start()
        self._stack.push_async_callback(self.nats.stop)
        secrets = ensure_secrets(self.home)
        key = load_pem_private_key(secrets.gate_key.read_bytes(), password=None)
        assert isinstance(key, Ed25519PrivateKey)
        self._gate_key = key
        venue_port = await self._start_venue(str(secrets.api_key), str(secrets.api_secret))
        self._tap = await self._run("benchmarks.venue_tap", venue_port)
        first, second = (await self._line(self._tap)).split()
        self.ports = int(first), int(second)
        for service in ("market-feed", "risk-gate", "cli"):
            self._pens[service] = await Pen.of(self.nats, service)
        self._admin = await self.nats.connect("admin")
        config = {**stream_configs()[0], "name": STREAM, "subjects": ["floor.>"]}
        assert "error" not in await self._admin.ask(f"$JS.API.STREAM.CREATE.{STREAM}", config)
        await self._admin.client.subscribe(f"exec.report.{BTC}", cb=self._reported)
        floor_url = f"http://127.0.0.1:{self.ports[1]}"
        floor = await self._run("benchmarks.submission_floor", str(self.home), self.nats.url, floor_url)
        assert (await self._line(floor)).strip() == READY
        await self._say("market-feed", _status())
        await self.mark()
        told = {
            "BULKHEAD_HOME": str(self.home),
            "BULKHEAD_NATS_URL": self.nats.url,
            "BULKHEAD_HTTP_PORT": str(self._metrics_port),
            "BULKHEAD_INSTRUMENTS": BTC,
            "BULKHEAD_EXEC_VENUE_URL": f"http://127.0.0.1:{self.ports[0]}",
            "BULKHEAD_EXEC_API_KEY_FILE": str(secrets.api_key),
            "BULKHEAD_EXEC_API_SECRET_FILE": str(secrets.api_secret),
            "BULKHEAD_EXEC_GATE_PUBLIC_KEY": secrets.gate_public_key,
        }
        await self._run("services.order_executor", **told)
        await self._say("cli", GenesisDeclared(book="main", mode="paper", author="the benchmark"))
        log = await Log.of(self.nats)

        async def is_open() -> bool:
            return any(each.clean for each in await log.said("exec.reconciled"))

        await until(is_open)

    async def approve(self, who: str, name: str) -> Approved:
        """Append the signed approval of a new order, for the executor or for the floor; returns when it is acknowledged."""
        pen = self._pens["risk-gate"]
        pen.now = time.time_ns()
        limit_px = floor_to_step(self._px * Decimal("0.97"), Decimal("0.01"))
        approval = OrderApproved(
            intent_id=derive_id("benchmark", who, name),
            instrument=BTC,
            side="BUY",
            ord_type="LIMIT",
            time_in_force="IOC",
            order_qty=Decimal("0.001"),
            limit_px=limit_px,
            ref_px=self._px,
            stop_px=floor_to_step(self._px * Decimal("0.9"), Decimal("0.01")),
            target_px=None,
            reduce_only=False,
            valid_until=pen.now + VALID_NS,
            checks=(),
        )
        message = pen.filled_in(approval)
        assert isinstance(message, OrderApproved)
        payload = encode(sign(self._gate_key, message))
        if who == "ours":
            seq = await pen.write(subject_of(message), payload)
            return Approved(who, seq, cl_ord_id_of(approval.intent_id, "ENTRY"), time.time_ns())
        answer = await self._admin.ask(f"floor.approved.{BTC}", payload)
        return Approved(who, int(answer["seq"]), approval.intent_id, time.time_ns())

    async def arrived(self, approved: Approved) -> None:
        """Wait for the order at the venue, and then until whoever sent it has nothing more to say of it.

        Raises:
            TimeoutError, AssertionError: it did not come, or another came.
        """
        async with asyncio.timeout(PATIENCE_S):
            ns, _, cl_ord_id = (await self._line(self._tap)).strip().partition(" ")
            assert cl_ord_id == approved.cl_ord_id, f"{cl_ord_id} arrived, and not {approved.cl_ord_id}"
            approved.arrived = int(ns)
            if approved.who == "ours":
                await self._reports.get()

    async def mark(self) -> None:
        """Tell the executor what the venue quotes."""
        url = f"http://127.0.0.1:{self.ports[0]}/api/v3/ticker/bookTicker?symbol={BTC.replace('-', '')}"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            quote = await answer.json()
        bid_px, ask_px, now = float(quote["bidPrice"]), float(quote["askPrice"]), time.time_ns()
        self._px = floor_to_step(Decimal(quote["bidPrice"]), Decimal("0.01"))
        mark = Mark(
            instrument=BTC,
            bid_px=bid_px,
            ask_px=ask_px,
            last_px=bid_px,
            protective_px=bid_px,
            trust="TRUSTED",
            ts=now,
        )
        await self._say("market-feed", FeedMarks(venue="binance", as_of=now, marks=(mark,)))

    async def stored(self, who: str) -> dict[int, int]:
        """When the server stored each message of a stream (ns), by seq. Only of what submissions consist of."""
        found = {}
        for subject in (SUBJECTS[who], SUBJECTS[who].replace("submitting", "approved").replace("exec.", "risk.")):
            found |= {seq: ns for seq, ns, _ in await self._messages(STREAMS[who], subject)}
        return found

    async def written(self, who: str) -> dict[str, int]:
        """When the server stored each message that was written ahead (ns), by the client id of its order."""
        of = {"ours": "cl_ord_id", "floor": "newClientOrderId"}[who]
        return {message[of]: ns for _, ns, message in await self._messages(STREAMS[who], SUBJECTS[who])}

    async def _messages(self, stream: str, subject: str) -> list[tuple[int, int, dict[str, Any]]]:
        found, seq = [], 1
        while True:
            query = {"seq": seq, "next_by_subj": subject}
            answer = await self._admin.ask(f"$JS.API.STREAM.MSG.GET.{stream}", query)
            if "error" in answer:
                return found
            stored = answer["message"]
            payload = msgspec.json.decode(msgspec.json.decode(f'"{stored["data"]}"', type=bytes))
            found.append((stored["seq"], nanoseconds(stored["time"]), payload))
            seq = stored["seq"] + 1

    async def counted(self) -> dict[str, tuple[float, int]]:
        """The executor's own histograms: seconds in all, and how often."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self._metrics_port}/metrics") as answer,
        ):
            text = await answer.text()
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for name, part, labels, value in _SERIES.findall(text):
            key = f"{name} orders" if 'lane="orders"' in labels else name
            if part == "sum":
                sums[key] = float(value)
            else:
                counts[key] = int(float(value))
        return {key: (seconds, counts[key]) for key, seconds in sums.items() if key in counts}

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _start_venue(self, key_file: str, secret_file: str) -> str:
        process, port = await run_venue(
            self.home / "venue",
            BULKHEAD_SIM_MODE="free",
            BULKHEAD_SIM_SPEED="1",
            BULKHEAD_SIM_START=datetime.now(UTC).isoformat(),
            BULKHEAD_SIM_INSTRUMENTS=BTC,
            BULKHEAD_SIM_BALANCES="USDT=100000",
            BULKHEAD_SIM_API_KEY_FILE=key_file,
            BULKHEAD_SIM_API_SECRET_FILE=secret_file,
        )
        self._stack.push_async_callback(_ended, process)
        return port

    async def _run(self, module: str, *given: str, **more: str) -> asyncio.subprocess.Process:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("BULKHEAD_", "DATABASE_URL"))}
        is_ours = module.startswith("benchmarks.")
        with (self.home / f"{module}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *given,
                env={**env, **more},
                stdout=asyncio.subprocess.PIPE if is_ours else log,
                stderr=log,
                preexec_fn=die_with_parent(os.getpid()),
            )
        self._stack.push_async_callback(_ended, process)
        return process

    async def _line(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        assert line, f"a process ended; see {self.home}"
        return line.decode()

    async def _reported(self, message: Any) -> None:
        report = msgspec.json.decode(message.data)
        assert report["ord_status"] != "REJECTED", report["reason"]
        if report["ord_status"] == "EXPIRED":
            self._reports.put_nowait(None)

    async def _say(self, service: str, message: Message) -> None:
        pen = self._pens[service]
        pen.now = time.time_ns()
        await pen.say(message)


def _status() -> FeedStatus:
    specs = (listing_of(BTC).spec,)
    return FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={"binance": 1.0}, specs=specs)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def open_stand(home: Path) -> AsyncIterator[SubmissionStand]:
    """A stand whose executor takes entries; taken down at the end."""
    async with AsyncExitStack() as stack:
        stand = SubmissionStand(home, stack)
        await stand.start()
        yield stand
