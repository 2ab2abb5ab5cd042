"""`bulkhead up --mode live`, whole: exchange_sim, behind a key, stands for the real venue; an override certificate unlocks it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from libs.common.codec import encode
from libs.common.messages import (
    Baseline,
    BaselineDeclared,
    ExecutionReport,
    GenesisDeclared,
    LiveUnlocked,
    Message,
    OrderDenied,
    OrderIntent,
    PersonNotified,
    Reconciled,
    ServiceStarted,
)
from libs.common.messages.watch import MetricBaseline
from libs.common.subjects import subject_of
from libs.common.timeframe import SECOND
from libs.research.certificate import Certificate, Override, unmet_lines, written
from libs.runtime.adapter import LogEntry
from libs.runtime.nats_config import connect_options
from services.cli.certify import certificate_of, judge
from services.cli.exit_codes import CONFIG, Failure
from services.cli.place import find_place, stack_settings
from services.cli.preflight import examine, refuse_live
from services.cli.status import gather
from tests.e2e.stack_stand import Stack
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.unit.cli.test_graduate import begun

SERVICES = ("market-feed", "risk-gate", "order-executor", "ledger", "notifier")
BTC = "BTC-USDT"


def issue(path: Path, reason: str = "a small account") -> Certificate:
    """An override of everything that a paper book of a moment has not shown."""
    events = begun(ts=time.time_ns())
    log = [LogEntry(seq, subject_of(each), encode(each)) for seq, each in enumerate(events, 1)]
    hits = MetricBaseline(metric="hit_rate", count=40, mean=0.55, clumping=1.0, quantiles=())
    shown = Baseline(source="book main (paper)", from_ts=1, until_ts=2, metrics=(hits,))
    found = msgspec.structs.replace(judge(log), baseline=shown)
    unmet = unmet_lines((*found.criteria, *found.readiness))
    override = Override(operator="Ada", reason=reason, unmet=unmet)
    certificate = certificate_of(found, log, now=time.time_ns(), override=override)
    path.write_bytes(written(certificate))
    return certificate


@pytest.fixture
async def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Stack]]:
    monkeypatch.setenv("BULKHEAD_MODE", "live")
    monkeypatch.delenv("BULKHEAD_CERTIFICATE", raising=False)
    for check in ("MACRO", "BARS", "SIGNALS"):  # of opinions, which nobody has here
        monkeypatch.setenv(f"BULKHEAD_RISK_{check}", "false")
    monkeypatch.setenv("BULKHEAD_RISK_PRICE_AGE_MS_MAX", "20000")  # this machine may be busy
    stacks: list[Stack] = []

    def start(*services: str, mode: str = "live", **settings: Any) -> Stack:
        stacks.append(Stack(tmp_path / "home", services, mode=mode, **settings))
        return stacks[-1]

    yield start
    for stack in stacks:
        await stack.abandon()


@pytest.fixture
async def venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VenueStand]:
    """The real venue, in wall time; the executor's settings name it and the files of the key."""
    soon = (datetime.now(UTC) + timedelta(seconds=1)).replace(microsecond=0)  # whole seconds only: at most one apart
    async with open_venue(tmp_path / "venue", sim_mode="free", sim_speed=1.0, sim_start=soon) as stand:
        monkeypatch.setenv("BULKHEAD_EXEC_VENUE_URL", stand.url)
        monkeypatch.setenv("BULKHEAD_MARKET_URL", stand.url)
        for name in ("key", "secret"):
            (stand.settings.home / name).chmod(0o600)
            monkeypatch.setenv(f"BULKHEAD_EXEC_API_{name.upper()}_FILE", str(stand.settings.home / name))
        yield stand


async def preflight(home: Path) -> None:
    """As `up` looks before it starts anything."""

    def look() -> None:
        refuse_live(stack_settings(home), examine(home, None))

    await asyncio.to_thread(look)


async def test_a_live_stack_trades_at_the_real_venue_by_an_override_that_is_on_record(
    begin: Callable[..., Stack], venue: VenueStand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says by what right before anything starts, somebody is woken, status finds fault, and the order is at the venue."""
    home = tmp_path / "home"
    monkeypatch.setenv("BULKHEAD_CERTIFICATE", str(tmp_path / "certificate.json"))
    certificate = issue(tmp_path / "certificate.json")
    await venue.post("/sim/key", {"withdrawals": True})
    with pytest.raises(Failure, match="a critical check fails: venue key"):
        await preflight(home)
    await venue.post("/sim/key", {"withdrawals": False})
    await preflight(home)

    stack = begin(*SERVICES)
    await stack.until(lambda: stack.shows("services are live") and stack.shows("LIVE STARTED"))
    assert stack.shows("is this meant?  risk has other settings than in the paper book that was judged")
    assert stack.shows(f"ORDERS ARE REAL: they go to {venue.url}")
    told = await until(stack, lambda told: any(each.clean for each in told if isinstance(each, Reconciled)))
    assert [(each.mode, each.book) for each in told if isinstance(each, GenesisDeclared)] == [("live", "main")]
    (unlocked,) = [each for each in told if isinstance(each, LiveUnlocked)]
    assert (unlocked.grounds, unlocked.operator, unlocked.reason) == ("OVERRIDE", "Ada", "a small account")
    assert (unlocked.certificate, unlocked.unmet, unlocked.paper_days) == (certificate.digest, certificate.unmet, 0)
    (declared,) = [each for each in told if isinstance(each, BaselineDeclared)]
    assert declared.baseline == certificate.baseline
    first_start = next(place for place, each in enumerate(told) if isinstance(each, ServiceStarted))
    assert told.index(declared) < told.index(unlocked) < first_start

    await wish(stack, venue)
    told = await until(stack, lambda told: any(isinstance(each, PersonNotified) and _is_fill(each) for each in told))
    assert [each.checks for each in told if isinstance(each, OrderDenied)] == []
    (page,) = [each for each in told if isinstance(each, PersonNotified) and each.level == "page"]
    assert page.text.startswith("book main trades for real by the override of Ada: a small account; not shown: days,")
    status, orders = await venue.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")
    entry = next(each.cl_ord_id for each in told if isinstance(each, ExecutionReport) and each.role == "ENTRY")
    assert status == 200
    assert [each["status"] for each in orders if each["clientOrderId"] == entry] == ["FILLED"]

    found = await gather(find_place(home))
    assert (found.mode, found.venue_trouble) == ("live", "")
    assert found.venue.endswith(f"real orders at {venue.url}")
    assert any(each.startswith("live by the override of Ada until ") for each in found.findings)
    assert "exchange-sim" not in found.processes
    assert await stack.stop() == 0


async def test_a_live_book_begins_by_a_certificate_and_nothing_else(
    begin: Callable[..., Stack], venue: VenueStand, tmp_path: Path
) -> None:
    """Without one it is refused; with it the log says so once, again for another one only, and no other mode goes on with that log."""
    refused = begin()
    assert await refused.ended() == CONFIG
    assert refused.shows("live mode does not start: it is locked, and no certificate was given")
    assert refused.shows("bulkhead graduate --home PAPER_HOME --out certificate.json")
    assert not (tmp_path / "home" / "nats" / "jetstream").exists()

    first, second = tmp_path / "first.json", tmp_path / "second.json"
    digests = [issue(first).digest, issue(second, reason="still a small account").digest]
    for path, count in ((first, 1), (first, 1), (second, 2)):
        stack = begin(certificate=path)
        await stack.until(lambda stack=stack: stack.shows("starting 0 services"))  # type: ignore[misc]
        told = [each for each in await stack.told() if isinstance(each, LiveUnlocked)]
        assert [each.certificate for each in told] == digests[:count]
        assert await stack.stop() == 0
    for mode in ("sim", "paper"):
        other = begin(mode=mode)
        assert await other.ended() == CONFIG
        assert other.shows(f"holds the log of a book in mode live, and mode {mode} does not go on with it"), (
            other.screen.getvalue()
        )


async def until(stack: Stack, condition: Callable[[list[Message]], bool]) -> list[Message]:
    """The events of the log once `condition` holds of them."""
    async with asyncio.timeout(40):
        while not condition(told := await stack.told()):
            assert not stack.task.done(), stack.screen.getvalue()
            await asyncio.sleep(0.2)
    return told


async def wish(stack: Stack, venue: VenueStand) -> None:
    """An intent in the portfolio's place: the gate judges it as any other."""
    px = venue.server.exchange.quotes[BTC].ask_px
    now = time.time_ns()
    intent = OrderIntent(
        id="wish",
        producer="portfolio",
        ts_event=now,
        ts_init=now,
        correlation_id="wish",
        intent_id="wish",
        instrument=BTC,
        side="BUY",
        ord_type="MARKET",
        time_in_force="IOC",
        order_qty=Decimal("0.01"),
        limit_px=None,
        ref_px=Decimal(str(px)),
        stop_px=Decimal(round(px * 0.97)),
        target_px=None,
        reduce_only=False,
        valid_until=now + 30 * SECOND,
        reason="a wish",
    )
    client = Client()
    await client.connect(**connect_options(stack.settings.home, "portfolio", stack.ports.nats_url))
    try:
        await client.request(subject_of(intent), encode(intent), timeout=5)
    finally:
        await client.close()


def _is_fill(notice: PersonNotified) -> bool:
    return notice.text.startswith("filled BUY")
