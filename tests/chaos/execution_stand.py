"""The execution edge on a stand: the executor as a real process, a real nats-server, a real venue; the test plays gate and feed.

    stand = await ExecutionStand.open(tmp_path, nursery)
    wish = await stand.enter("0.01")                    # signed, as the risk gate would
    await stand.until(stand.covered, "a stop under the position")
    stand.venue.faults.add(OrderFault(kind="timeout_after_accept"))
    stand.kill(); stand.restart(); stand.freeze(); stand.thaw(); stand.stop_nats(); await stand.start_nats()
    await stand.check_books()                           # what must hold whatever happened: see `execution_books`

Time is real. The executor's own delays are short here, so that an incident takes seconds; every wait has an end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from nats.errors import Error as NatsError

from libs.common.approval import sign
from libs.common.codec import encode
from libs.common.ids import cl_ord_id_of
from libs.common.messages import (
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    Mark,
    Message,
    OrderApproved,
    Reconciled,
)
from libs.common.money import floor_to_step
from libs.common.subjects import subject_of
from libs.runtime.stopping import cancelled
from services.cli.stack_keys import ensure_secrets
from services.exchange_sim.faults import RestFault, SocketFault
from tests.chaos.execution_books import Wish, faults_of
from tests.chaos.log_tail import LogTail
from tests.chaos.nursery import Nursery
from tests.chaos.scripted_venue import SECOND, ScriptedVenue
from tests.e2e.live_services import Pen
from tests.nats_stack import NatsStack

BTC, ETH = "BTC-USDT", "ETH-USDT"
PATIENCE_S = 15.0
FEED_S = 0.15
VALID_S = 1.5
START_PX = 60_000.0
SETTINGS = {
    "BULKHEAD_INSTRUMENTS": f"{BTC},{ETH}",
    "BULKHEAD_EXEC_CRASH_STARTS_MAX": "1000",
    "BULKHEAD_EXEC_LOSSES_IN_A_ROW_MAX": "0",
    "BULKHEAD_EXEC_DEADLINE_MS": "700",
    "BULKHEAD_EXEC_RECV_WINDOW_MS": "500",
    "BULKHEAD_EXEC_FINALITY_MARGIN_MS": "100",
    "BULKHEAD_EXEC_PROTECT_TTL_MS": "1500",
    "BULKHEAD_EXEC_ASK_TTL_MS": "1500",
    "BULKHEAD_EXEC_RECONCILE_INTERVAL_MS": "1000",
    "BULKHEAD_EXEC_LOOKUP_DELAYS_MS": "50,100,200,400",
    "BULKHEAD_EXEC_RETRY_DELAYS_MS": "0,200,500",
    "BULKHEAD_EXEC_MARK_AGE_MS_MAX": "300000",
}
"""Short delays, so that an incident takes seconds; a mark may be old, because no test is about marks."""


class ExecutionStand:
    """One executor (or two), one bus, one venue, one book."""

    def __init__(self, home: Path, nursery: Nursery, **settings: str):
        self.home = home
        self.nats = NatsStack(home)
        self.venue: ScriptedVenue
        self.log: LogTail
        self.wishes: dict[str, Wish] = {}
        self.executor = 0
        """The pid of the executor that was started last."""
        self._settings = {**SETTINGS, **settings}
        self._nursery = nursery
        self._pids: list[int] = []
        self._feeding: asyncio.Task[None]
        self._supervising: asyncio.Task[None] | None = None
        self._pens: dict[str, Pen] = {}
        self._gate_key: Ed25519PrivateKey

    # --- up and down ------------------------------------------------------------------------------------------------

    async def start(self, *, ahead_s: float = 0.0, **sim: Any) -> None:
        """Everything up, the book opened and seen to agree with the venue."""
        await self.nats.start()
        self.secrets = ensure_secrets(self.home)
        key = load_pem_private_key(self.secrets.gate_key.read_bytes(), password=None)
        assert isinstance(key, Ed25519PrivateKey)
        self._gate_key = key
        self.venue = ScriptedVenue(self.home / "venue", (BTC, ETH), ahead_s=ahead_s, sim_balances="USDT=100000", **sim)
        self.secrets.api_key.write_text(self.venue.key)
        self.secrets.api_secret.write_text(self.venue.secret)
        await self.venue.start()
        self.log = LogTail(self.nats)
        for service in ("market-feed", "risk-gate", "cli"):
            self._pens[service] = await Pen.of(self.nats, service)
        await self._say("market-feed", self._status())
        self._feeding = asyncio.create_task(self._feed(), name="feed")
        self.restart()
        await self._say("cli", GenesisDeclared(book="main", mode="paper", author="the test"))

    async def stop(self) -> None:
        """Everything down."""
        await cancelled(self._feeding, *([self._supervising] if self._supervising else []))
        for pid in self._pids:
            if self._nursery.poll(pid) is None:
                os.kill(pid, signal.SIGKILL)
        for pid in self._pids:
            await self._gone(pid)
        await self.log.close()
        await self.venue.stop()
        await self.nats.stop()

    def restart(self, instance: str = "local", module: str = "services.order_executor", **more: str) -> int:
        """Start an executor (again); its pid."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("BULKHEAD_", "DATABASE_URL"))}
        told = {
            "BULKHEAD_HOME": str(self.home),
            "BULKHEAD_NATS_URL": self.nats.url,
            "BULKHEAD_INSTANCE": instance,
            "BULKHEAD_EXEC_VENUE_URL": self.venue.url,
            "BULKHEAD_EXEC_API_KEY_FILE": str(self.secrets.api_key),
            "BULKHEAD_EXEC_API_SECRET_FILE": str(self.secrets.api_secret),
            "BULKHEAD_EXEC_GATE_PUBLIC_KEY": self.secrets.gate_public_key,
        }
        log = self.home / f"{module.rpartition('.')[2]}.log"
        pid = self._nursery.start(module, {**env, **told, **self._settings, **more}, log)
        self._pids.append(pid)
        if module == "services.order_executor":
            self.executor = pid
        return pid

    # --- violence ---------------------------------------------------------------------------------------------------

    def kill(self, pid: int | None = None) -> None:
        """kill -9."""
        os.kill(self.executor if pid is None else pid, signal.SIGKILL)

    def freeze(self, pid: int | None = None) -> None:
        """SIGSTOP: it lives, and does nothing."""
        os.kill(self.executor if pid is None else pid, signal.SIGSTOP)

    def thaw(self, pid: int | None = None) -> None:
        """SIGCONT."""
        os.kill(self.executor if pid is None else pid, signal.SIGCONT)

    def ended(self, pid: int | None = None) -> int | None:
        """How a process ended; None while it runs."""
        return self._nursery.poll(self.executor if pid is None else pid)

    def stop_nats(self) -> None:
        """kill -9 of nats-server."""
        self.nats.kill()

    async def start_nats(self) -> None:
        """Start it again, on what it has on disk."""
        await self.nats.start(provisioned=False)
        await self.until(lambda: all(pen.user.client.is_connected for pen in self._pens.values()), "gate and feed")

    def supervise(self) -> None:
        """From now on, start the executor again whenever it has ended, as the supervisor does."""
        self._supervising = asyncio.create_task(self._supervise(), name="supervisor")

    async def _supervise(self) -> None:
        while True:
            if self.ended() is not None:
                self.restart()
            await asyncio.sleep(0.1)

    def blind(self, seconds: float) -> None:
        """For so long, neither the user stream nor a reading of the account tells anything."""
        self.deafen(seconds)
        self.refuse(503, path="/api/v3/account", seconds=seconds)

    def deafen(self, seconds: float) -> None:
        """For so long, nothing that happens to an order is told on the user stream."""
        self.venue.faults.add(SocketFault(kind="drop", stream="account", seconds=seconds))

    def refuse(self, code: int, body: str = "", *, path: str = "/api/v3/*", **more: Any) -> None:
        """Let calls of the venue be answered with this status."""
        self.venue.faults.add(RestFault(kind="status", path=path, code=code, body=body or None, **more))

    # --- the gate and the feed --------------------------------------------------------------------------------------

    async def enter(
        self, qty: str, *, stop: float = 0.99, instrument: str = BTC, valid_s: float = VALID_S, **changes: Any
    ) -> str:
        """Approve an entry at market, with its stop at so much of the present price; the intent's id."""
        px = Decimal(str(self.venue.quote(instrument).ask_px))
        stop_px = (px * Decimal(str(stop))).quantize(Decimal("0.01"))
        return await self._approve("BUY", qty, px, valid_s, instrument=instrument, stop_px=stop_px, **changes)

    async def exit(self, qty: str, *, instrument: str = BTC, valid_s: float = 5.0, **changes: Any) -> str:
        """Approve an exit at market; the intent's id."""
        px = Decimal(str(self.venue.quote(instrument).bid_px))
        return await self._approve("SELL", qty, px, valid_s, instrument=instrument, reduce_only=True, **changes)

    def price(self, px: float, instrument: str = BTC, qty: float | None = None) -> None:
        """What the instrument costs from the next quote on."""
        price = self.venue.market.prices[instrument]
        price.px, price.qty = px, price.qty if qty is None else qty

    async def _approve(self, side: str, qty: str, px: Decimal, valid_s: float, **changes: Any) -> str:
        pen = self._pens["risk-gate"]
        pen.now = time.time_ns()
        intent = f"wish-{len(self.wishes) + 1}"
        values: dict[str, Any] = {
            "intent_id": intent,
            "side": side,
            "ord_type": "MARKET",
            "time_in_force": "GTC",
            "order_qty": Decimal(qty),
            "limit_px": None,
            "ref_px": px,
            "stop_px": None,
            "target_px": None,
            "reduce_only": False,
            "valid_until": pen.now + round(valid_s * SECOND),
            "checks": (),
        }
        approval = OrderApproved(**{**values, **changes})
        role = "EXIT" if approval.reduce_only else "ENTRY"
        self.wishes[intent] = Wish(intent, cl_ord_id_of(intent, role), approval.instrument, approval.order_qty)
        message = pen.filled_in(approval)
        assert isinstance(message, OrderApproved)
        await self._write(pen, sign(self._gate_key, message))
        return intent

    async def _say(self, service: str, message: Message) -> None:
        pen = self._pens[service]
        pen.now = time.time_ns()
        await self._write(pen, pen.filled_in(message))

    async def _write(self, pen: Pen, message: Message) -> None:
        await pen.write(subject_of(message), encode(message))

    def _status(self) -> FeedStatus:
        specs = tuple(self.venue.spec(name) for name in self.venue.market.prices)
        return FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={"binance": 1.0}, specs=specs)

    async def _feed(self) -> None:
        """Marks that follow the venue's quotes; while the bus is away, none."""
        while True:
            now = time.time_ns()
            marks = tuple(self._mark(name, now) for name in self.venue.market.prices)
            try:
                async with asyncio.timeout(1.0):
                    await self._say("market-feed", FeedMarks(venue="binance", as_of=now, marks=marks, alive=()))
            except (NatsError, OSError, TimeoutError):
                pass
            await asyncio.sleep(FEED_S)

    def _mark(self, instrument: str, now: int) -> Mark:
        quote = self.venue.quote(instrument)
        px = (quote.bid_px + quote.ask_px) / 2
        return Mark(
            instrument=instrument,
            bid_px=quote.bid_px,
            ask_px=quote.ask_px,
            last_px=px,
            protective_px=px,
            trust="TRUSTED",
            ts=now,
        )

    # --- looking ----------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> float:
        """Wait for something; how long it took.

        Raises:
            AssertionError: it did not come to pass; with the story so far.
        """
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"waited {seconds:g} s for {what}\n{self.story()}")
            await asyncio.sleep(0.005)
        return time.monotonic() - began

    def story(self) -> str:
        """What the log says, and the end of what the executor printed."""
        words = (self.home / "order_executor.log").read_text(errors="replace").splitlines()[-12:]
        return self.log.story() + "\n--- its own words\n" + "\n".join(line[:400] for line in words)

    def held(self, instrument: str = BTC) -> Decimal:
        """What can be sold of an instrument at the venue."""
        spec = self.venue.spec(instrument)
        return floor_to_step(self.venue.total(spec.base), spec.qty_step)

    def resting(self, instrument: str = BTC) -> Decimal:
        """What rests at the venue under a stop."""
        open_orders = self.venue.account.open_orders(instrument)
        stops = [each for each in open_orders if each.side == "SELL" and each.stop_px is not None]
        return sum((each.order_qty - each.cum_qty for each in stops), Decimal(0))

    async def position(self, qty: str = "0.01", instrument: str = BTC, **changes: Any) -> str:
        """A position under its stop, and the log says so; the intent's id."""
        intent = await self.enter(qty, instrument=instrument, **changes)
        await self.until(lambda: self.covered(instrument), "a stop under the position")
        (stop,) = (each for each in self.venue.account.open_orders(instrument) if each.stop_px is not None)
        await self.until(lambda: self.status_of(stop.cl_ord_id) == "NEW", "the log to know of the stop")
        return intent

    def status_of(self, cl_ord_id: str) -> str:
        """Where the log says an order stands; empty: it says nothing."""
        reports = [each for each in self.log.said(ExecutionReport) if each.cl_ord_id == cl_ord_id]
        return reports[-1].ord_status if reports else ""

    def covered(self, instrument: str = BTC) -> bool:
        """Whether there is a position, and a stop of its size."""
        return self.held(instrument) > 0 and self.resting(instrument) == self.held(instrument)

    def flat(self, instrument: str = BTC) -> bool:
        """Whether nothing that can be sold is held, and nothing rests."""
        return self.held(instrument) == 0 and not self.venue.account.open_orders(instrument)

    def bought(self, intent: str) -> Decimal:
        """What the venue executed of a wish."""
        name = self.wishes[intent].cl_ord_id
        return sum((each.qty for each in self.venue.account.fills() if each.cl_ord_id == name), Decimal(0))

    async def reconciled(self, seconds: float = PATIENCE_S) -> None:
        """Wait for a clean reconciliation that is newer than now."""
        seen = len(self.log.told)
        await self.until(
            lambda: any(each.clean for each in self.log.said(Reconciled, seen)), "a clean reconciliation", seconds
        )

    async def check_books(
        self,
        *alerts: str,
        unsent: tuple[str, ...] = (),
        filled: dict[str, str] | None = None,
        seconds: float = PATIENCE_S,
    ) -> None:
        """Once everything has settled, assert what must hold after any incident; `alerts` must have been told to a person.

        Every wish was executed for its quantity: of those in `unsent` nothing, of those in `filled` so much.
        """
        wanted = {name: wish.qty for name, wish in self.wishes.items()}
        wanted |= dict.fromkeys(unsent, Decimal(0)) | {name: Decimal(qty) for name, qty in (filled or {}).items()}
        began = time.monotonic()
        while True:
            seen = len(self.log.told)
            found = faults_of(self.venue, self.log, self.wishes, wanted, alerts)
            if not found or time.monotonic() - began > seconds:
                break
            await self.until(lambda seen=seen: len(self.log.told) > seen, "anything to happen")
        assert not found, "\n".join(found) + "\n" + self.story()

    async def _gone(self, pid: int) -> None:
        while self._nursery.poll(pid) is None:  # noqa: ASYNC110  (a process ends without a word)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def open_stand(
    home: Path, nursery: Nursery, *, ahead_s: float = 0.0, **settings: str
) -> AsyncIterator[ExecutionStand]:
    """A stand at work, its books reconciled; taken down at the end."""
    stand = ExecutionStand(home, nursery, **settings)
    try:
        await stand.start(ahead_s=ahead_s)
        if not ahead_s:
            await stand.until(lambda: any(each.clean for each in stand.log.said(Reconciled)), "an opened book")
        yield stand
    finally:
        await stand.stop()
