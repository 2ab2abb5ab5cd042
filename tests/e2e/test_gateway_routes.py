"""What the gateway shows of a log, and what it does with orders: against a running gateway and a real bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.messages import (
    AlertRaised,
    CancelCommanded,
    EquityChanged,
    ExecutionReport,
    MacroOverrideCommanded,
    OperatorCommanded,
    OrderSubmitting,
    PositionChanged,
)
from libs.desk.story import tell
from libs.desk.story_target import newest
from libs.desk.story_text import story_document
from libs.desk.tokens import TokenStore, token_file
from libs.runtime.live import LiveShell
from libs.runtime.registry import contract_of, machine_of, settings_of
from services.gateway.webhook_routes import ALERTS_A_MINUTE_MAX
from tests.e2e.gateway_stand import SEED, Gateway, gateway_in
from tests.nats_stack import NatsStack
from tests.recorded_log import messages_of, recorded_log

LOG = messages_of(recorded_log(SEED))
REASON = "smoke in the data centre"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway before a recorded log; a test that breaks it takes one of its own."""
    async with gateway_in(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@asynccontextmanager
async def risk_gate(nats: NatsStack) -> AsyncIterator[None]:
    """The real gate, live on this log."""
    key = nats.home / "keys" / "gate.key"
    key.write_text(Ed25519PrivateKey.generate().private_bytes_raw().hex())
    key.chmod(0o600)
    settings = settings_of("risk-gate")(home=nats.home, nats_url=nats.url, risk_signing_key_file=key)
    shell = LiveShell(contract_of("risk-gate"), machine_of("risk-gate"), settings)
    running = asyncio.create_task(shell.run())
    try:
        yield
    finally:
        shell.stop()
        await running


async def post(gateway: Gateway, word: str, scope: str = "operate", status: int | None = 200, **body: Any) -> Any:
    """One order."""
    body = {"reason": REASON, "wait_s": 10, **body}
    return await gateway.ask(f"/api/v1/commands/{word}", scope, method="POST", status=status, json=body)


# --- looking ------------------------------------------------------------------------------------------------------


async def test_what_is_shown_is_what_the_log_says(gateway: Gateway) -> None:
    """Equity, positions, fills, orders and decisions are those of the log, to the last digit."""
    equity = [message for _, message in LOG if isinstance(message, EquityChanged)][-1]
    portfolio = await gateway.ask("/api/v1/portfolio")
    assert Decimal(portfolio["books"]["equity"]) == equity.equity
    assert portfolio["trace"] == f"message:{equity.id}"
    assert portfolio["curve"][-1] == [equity.ts_event, float(equity.equity)]
    held = {message.instrument: message.signed_qty for _, message in LOG if isinstance(message, PositionChanged)}
    positions = (await gateway.ask("/api/v1/positions"))["items"]
    shown = {line["instrument"]: Decimal(line["signed_qty"]) for line in positions}
    assert shown == {instrument: qty for instrument, qty in held.items() if qty}
    traded = [(seq, each) for seq, each in LOG if isinstance(each, ExecutionReport) and each.exec_type == "TRADE"]
    fills = (await gateway.ask("/api/v1/fills?limit=500"))["items"]
    assert [(line["seq"], Decimal(line["px"])) for line in reversed(fills)] == [
        (seq, each.last_px) for seq, each in traded
    ]
    sent = [seq for seq, message in LOG if isinstance(message, OrderSubmitting)]
    orders = await gateway.ask("/api/v1/orders?limit=500")
    assert [line["seq"] for line in reversed(orders["items"])] == sent
    assert orders["counts"]["fills"] == len(traded)
    for path in ("signals", "decisions", "risk", "feeds", "agents", "alerts", "performance"):
        found = await gateway.ask(f"/api/v1/{path}")
        assert found.get("items", ["something"]) or path == "alerts", path


async def test_pages_leave_nothing_out_and_say_nothing_twice(gateway: Gateway) -> None:
    """Backwards by `next` and forwards by `previous`, the same events in the same order."""
    whole = (await gateway.ask("/api/v1/events?limit=500"))["items"]
    backwards: list[int] = []
    page = await gateway.ask("/api/v1/events?limit=37")
    while True:
        backwards += [item["seq"] for item in page["items"]]
        if page["next"] is None:
            break
        page = await gateway.ask("/api/v1/events", params={"limit": 37, "before": page["next"]})
    assert backwards == [item["seq"] for item in whole]
    forwards, start = list[int](), backwards.index(page["items"][0]["seq"])
    while page["items"]:
        page = await gateway.ask("/api/v1/events", params={"limit": 41, "after": page["previous"]})
        forwards = [item["seq"] for item in page["items"]] + forwards
    assert forwards == backwards[:start]
    assert page["next"] is None
    only = (await gateway.ask("/api/v1/events?role=fill&role=verdict&producer=exec&limit=500"))["items"]
    assert {item["role"] for item in only} == {"fill"}


async def test_a_trade_is_explained_as_everywhere_else(gateway: Gateway) -> None:
    """The same events in the same order as reading the whole log tells; and what is unknown is not found."""
    (target,) = newest(recorded_log(SEED))
    story = tell(recorded_log(SEED), target)
    found = await gateway.ask("/api/v1/trace/latest")
    assert found == msgspec.json.decode(msgspec.json.encode(story_document(story)))
    assert all(event["headline"] for event in found["events"])
    assert (await gateway.ask("/api/v1/trace/ffffffffffffffff", status=404))["status"] == 404


async def test_health_is_up_only_where_everything_is_known_to_be_well(tmp_path: Path) -> None:
    """Without a word of the services' own it is degraded, says so, and answers 503; without the log it is down, and shows what it knew."""
    async with gateway_in(tmp_path) as gateway:
        await check_health(gateway)
        assert await gateway.stop() == 0


async def check_health(gateway: Gateway) -> None:
    found = await gateway.ask("/api/v1/health", status=503)
    assert found["status"] == "degraded"
    assert found["reasons"] == ["no service's health page is known here (BULKHEAD_GATEWAY_SERVICES)"]
    assert (found["reconciled"], found["stops"]["is_whole"], found["feed"]["state"]) == (True, True, "LIVE")
    assert found["desk"]["processed_seq"] >= len(LOG)
    gateway.nats.kill()

    async def is_down() -> bool:
        return (await gateway.ask("/api/v1/health", status=503))["status"] == "down"

    await gateway.until(is_down, "it to know that the bus is away")
    assert await gateway.ask("/api/v1/portfolio")
    assert (await post(gateway, "halt", command_id="while-away", status=503))["type"].endswith("not-said")


async def test_listeners_hear_everything_and_then_what_changes(gateway: Gateway) -> None:
    """Each section with the place in the log it is of; a change within a second of its event; the end of a token ends it."""
    token_id, text = gateway.token("read")
    token = {"Authorization": f"Bearer {text}"}
    await gateway.until(lambda: gateway.ask("/api/v1/session", "", headers=token), "the token to be known")
    async with gateway.http.get(f"{gateway.url}/api/v1/stream", headers=token) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        heard: dict[str, int] = {}
        told = _moments(answer)
        while "head" not in heard or "alerts" not in heard or "positions" not in heard:
            kind, seq = await anext(told)
            heard[kind] = seq
        await post(gateway, "halt", command_id="stream-1", wait_s=0, status=202)
        async with asyncio.timeout(1):
            while (await anext(told))[0] != "log":
                pass
        TokenStore(token_file(gateway.home)).revoke(token_id, 1)
        async with asyncio.timeout(5):
            while (await anext(told))[0] != "ended":
                pass


async def _moments(answer: Any) -> AsyncIterator[tuple[str, int]]:
    seq = 0
    async for raw in answer.content:
        name, _, value = raw.decode().strip().partition(": ")
        if name == "id":
            seq = int(value)
        elif name == "event":
            yield value, seq


# --- ordering -----------------------------------------------------------------------------------------------------


async def test_an_order_has_the_effect_that_is_told_and_only_once(gateway: Gateway) -> None:
    """The gate's answer comes with it; the same order again is the first one's answer; under its name nothing else is ordered."""
    async with risk_gate(gateway.nats):
        await post(gateway, "resume", command_id="resume-0001")  # others may have halted
        halted = await post(gateway, "halt", command_id="halt-0001")
        assert (halted["answered"], halted["changed"], halted["state"], halted["repeated"]) == (
            True,
            True,
            "HALTED",
            False,
        )
        again = await post(gateway, "halt", command_id="halt-0001")
        assert (again["seq"], again["answer_seq"], again["repeated"]) == (halted["seq"], halted["answer_seq"], True)
        other = await post(gateway, "resume", command_id="halt-0001", status=409)
        assert other["type"].endswith("used-twice")
        theirs = await post(gateway, "halt", "admin", command_id="halt-0001")
        assert not theirs["repeated"]
        assert (await gateway.ask("/api/v1/risk"))["trading_state"] == "HALTED"
    told = [each for each in await gateway.told() if isinstance(each, OperatorCommanded)]
    said = [each for each in told if each.id in (halted["id"], theirs["id"])]
    assert [(each.command, each.reason) for each in said] == [("HALT", REASON)] * 2
    assert said[0].author == f"operate-man (token {gateway.ids['operate']})"
    assert (await gateway.refused("USED_TWICE")).who == gateway.ids["operate"]


async def test_every_order_stands_in_the_log_as_it_was_meant(gateway: Gateway) -> None:
    """Nobody acts on them here: each is accepted, and its answer says that nobody has."""
    words = {"reduce": "operate", "resume": "operate", "flatten": "operate", "cancel": "operate", "override": "admin"}
    more = {"cancel": {"cl_ord_id": "abc"}, "override": {"instrument": "BTC-USDT", "side": "BUY", "hours": 2}}
    for word, scope in words.items():
        outcome = await post(gateway, word, scope, 202, command_id=f"order-{word}", wait_s=0, **more.get(word, {}))
        assert (outcome["answered"], outcome["command"]) == (False, word.upper())
    told = {type(each).__name__: each for each in await gateway.told()}
    cancelled, override = told["CancelCommanded"], told["MacroOverrideCommanded"]
    assert isinstance(cancelled, CancelCommanded)
    assert cancelled.cl_ord_id == "abc"
    assert isinstance(override, MacroOverrideCommanded)
    assert (override.instrument, override.valid_until - override.ts_init) == ("BTC-USDT", 2 * 3_600_000_000_000)
    assert "FlattenCommanded" in told


UNCLEAR: tuple[Any, ...] = (
    {"command_id": "short", "reason": "x"},
    {"command_id": "no spaces please", "reason": "x"},
    {"command_id": "good-0001"},
    {"command_id": "good-0001", "reason": " \t "},
    {"command_id": "good-0001", "reason": "x\x1b[2J"},
    {"command_id": "good-0001", "reason": "x", "hunter22": 1},
    {"command_id": "good-0001", "reason": 7},
    {"command_id": "good-0001", "reason": "x", "wait_s": True},
    {"command_id": "good-0001", "reason": "x", "wait_s": "3"},
    {"command_id": "good-0001", "reason": "x", "wait_s": -1},
    ["command_id"],
)


async def test_an_order_that_is_not_clear_is_none(gateway: Gateway) -> None:
    """Strict: no field too few, too many, or of another kind; nothing of it is repeated, and nothing of it is in the log."""
    end = await gateway.nats.last_seq()
    for body in UNCLEAR:
        found = await gateway.ask("/api/v1/commands/halt", "operate", method="POST", status=422, json=body)
        assert found["faults"], body
        assert "hunter22" not in str(found)
    for raw in (
        b'{"command_id": "good-0001", "reason": "x", "wait_s": NaN}',
        b'{"command_id": "good-0001", "reason": "x", "wait_s": 1e999}',
        b'{"command_id": "good-0001", "reason": "x", "reason": "y"}',
        b'{"command_id": "good-0001", "reason": "\\ud800"}',
        b"[" * 9000,
        b"{",
        b"\xff\xfe",
    ):
        headers = {"Content-Type": "application/json"}
        found = await gateway.ask(
            "/api/v1/commands/halt", "operate", method="POST", status=400, data=raw, headers=headers
        )
        assert found["type"].endswith("bad-json")
    form = {"command_id": "good-0001", "reason": "x"}
    await gateway.ask("/api/v1/commands/halt", "operate", method="POST", status=415, data=form)
    assert await gateway.nats.last_seq() == end


async def test_alerts_of_alertmanager_come_in_by_the_names_we_know(gateway: Gateway) -> None:
    """Labels and annotations of others are dropped, what is over wakes nobody, what is repeated is known, and a storm does not fill the log."""
    firing = {
        "status": "firing",
        "labels": {"alertname": "DiskFull", "severity": "critical", "service": "ledger", "secret": "hunter22"},
        "annotations": {"summary": "5 % left\x1b[2J", "runbook": "https://evil.example"},
        "startsAt": "2026-01-01T00:00:00Z",
        "fingerprint": "aa",
        "generatorURL": "http://x",
    }
    resolved = {**firing, "status": "resolved"}
    body = {"version": "4", "status": "firing", "receiver": "bulkhead", "alerts": [firing, resolved, firing]}
    path = "/api/v1/webhooks/alertmanager"
    assert await gateway.ask(path, "alerts", method="POST", json=body) == {"recorded": 2, "known": 1}
    assert await gateway.ask(path, "alerts", method="POST", json=body) == {"recorded": 0, "known": 3}
    twice = {**body, "alerts": [{**firing, "labels": {"alertname": "Twice"}}]}
    at_once = await asyncio.gather(*(gateway.ask(path, "alerts", method="POST", json=twice) for _ in range(5)))
    assert sum(each["recorded"] for each in at_once) == 1
    told = [each for each in await gateway.told() if isinstance(each, AlertRaised)]
    raised = [each for each in told if each.code.startswith("ALERTMANAGER_")]
    assert [(each.code, each.severity) for each in raised] == [
        ("ALERTMANAGER_DISKFULL", "page"),
        ("ALERTMANAGER_DISKFULL", "note"),
        ("ALERTMANAGER_TWICE", "note"),
    ]
    assert raised[0].text == "firing: 5 % left [2J (service=ledger)"
    assert (await gateway.ask(path, "alerts", method="POST", json={"version": "3"}, status=422))["faults"]
    assert "ALERTMANAGER_DISKFULL" in {each["code"] for each in (await gateway.ask("/api/v1/alerts"))["items"]}
    storm = [{"status": "firing", "labels": {"alertname": "Storm", "n": str(number)}} for number in range(100)]
    pages = [{**body, "alerts": [{**each, "labels": {**each["labels"], "m": m}} for each in storm]} for m in "abc"]
    told = [await gateway.ask(path, "alerts", method="POST", json=page, status=None) for page in pages]
    assert told[0] == {"recorded": 100, "known": 0}
    assert [each["type"].rpartition(":")[2] for each in told[1:]] == ["too-many-alerts", "too-many-alerts"]
    assert (await gateway.refused("RATE", gateway.ids["alerts"])).door == "webhook"
    storms = [each for each in await gateway.told() if isinstance(each, AlertRaised) and each.code.endswith("STORM")]
    assert len(storms) <= ALERTS_A_MINUTE_MAX
