"""Who may do what on the bus: the whole matrix, generated from the contracts, on a real server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import nkeys
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import AgentSignals, FeedBars
from libs.common.subjects import TRADING_ROOTS, filter_of
from libs.runtime.contract import Contract, Zone
from libs.runtime.nats_config import (
    LOG,
    KeysError,
    account_of,
    accounts,
    api_prefix,
    connect_options,
    ensure_keys,
    key_file,
    users_of,
)
from libs.runtime.registry import SERVICES, contract_of, contracts
from libs.runtime.streams import BUDGETS, DEAD, LEASES, MARKET, TRADING, StreamLimits
from tests.nats_stack import NatsStack

MODEL_AGENT = Contract(
    service="agent-plugin", writer="agent.plugin", zone=Zone.MODEL, consumes=(FeedBars,), produces=(AgentSignals,)
)
"""A plug-in agent somebody may bring: its zone must hold from the first day."""

EVERYBODY = (*contracts(), MODEL_AGENT)
GUESTS = tuple(contract for contract in EVERYBODY if account_of(contract) != LOG)
STREAMS = (TRADING, MARKET, DEAD, LEASES, BUDGETS)
LEASE_SUBJECTS = {contract: f"$KV.LEASES.{contract.writer}" for contract in EVERYBODY}
BUDGET_ROWS = {contract: f"$KV.BUDGETS.binance.home.{contract.writer}" for contract in EVERYBODY}
CALLERS = ("market-feed", "order-executor")
"""Who calls venues, and shares their budgets."""


@pytest.fixture
async def zoned(tmp_path: Path) -> AsyncIterator[NatsStack]:
    """The bus with a model agent."""
    stack = NatsStack(tmp_path / "home", EVERYBODY)
    await stack.start()
    try:
        yield stack
    finally:
        await stack.stop()


# --- the matrix, in words of its own: nothing here uses `grant_of` ------------------------------------------------


def concrete(subject_filter: str) -> str:
    return subject_filter.replace("*", "BTC-USDT")


def said_by(contract: Contract) -> set[str]:
    return {concrete(filter_of(kind, contract.writer)) for kind in contract.says}


def durables(contract: Contract) -> set[str]:
    return {contract.service, *(reader.durable for reader in contract.readers)}


def allowed_to(contract: Contract) -> set[str]:
    api = api_prefix(contract)
    subjects = said_by(contract) | {"dead.TRADING_0001.7", LEASE_SUBJECTS[contract], f"{api}.STREAM.NAMES"}
    subjects |= {f"{api}.STREAM.{verb}.{stream}" for verb in ("MSG.GET", "INFO") for stream in STREAMS}
    subjects |= {
        f"{api}.CONSUMER.{verb}.TRADING_000{epoch}.{durable}"
        for verb in ("MSG.NEXT", "INFO", "RESET")
        for durable in durables(contract)
        for epoch in (1, 2)
    }
    if contract.service in CALLERS:
        subjects.add(BUDGET_ROWS[contract])
    if contract.zone is Zone.FEED:
        subjects |= {"market.trade.binance.BTC-USDT", "market.quote.binance.BTC-USDT"}
    return subjects


def admin_requests(api: str) -> set[str]:
    """Everything that changes or ends a stream or a consumer, or copies it elsewhere."""
    found = {f"{api}.{request}" for request in ("INFO", "STREAM.LIST", "STREAM.CREATE.NEW", "STREAM.RESTORE.NEW")}
    for stream in STREAMS:
        verbs = ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN")
        found |= {f"{api}.STREAM.{verb}.{stream}" for verb in verbs}
        found |= {f"{api}.CONSUMER.CREATE.{stream}", f"{api}.DIRECT.GET.{stream}", f"{api}.CONSUMER.LIST.{stream}"}
        for durable in (*SERVICES, "evil"):
            verbs = ("CREATE", "DURABLE.CREATE", "DELETE", "PAUSE", "LEADER.STEPDOWN", "UNPIN")
            found |= {f"{api}.CONSUMER.{verb}.{stream}.{durable}" for verb in verbs}
            found.add(f"{api}.CONSUMER.CREATE.{stream}.{durable}.risk.>")
    return found


def universe() -> set[str]:
    """Every subject of every class."""
    subjects = {"feed", "risk.state.more", "market.trade.binance.BTC-USDT", "market.quote.binance.BTC-USDT"}
    subjects |= {"$SYS.REQ.SERVER.PING", "$JS.ACK.TRADING_0001.risk-gate.1.1.1.1.0", "_R_.x", "anything"}
    for contract in EVERYBODY:
        subjects |= said_by(contract) | allowed_to(contract)
        subjects |= {f"{contract.writer}.unheard_of", f"_INBOX_{contract.service}.x", LEASE_SUBJECTS[contract]}
        subjects |= {BUDGET_ROWS[contract], f"$KV.BUDGETS.binance.{contract.writer}", f"{BUDGET_ROWS[contract]}.more"}
        subjects |= {f"{api}.CONSUMER.MSG.NEXT.MARKET.{contract.service}.x" for api in ("$JS.API", "$JS.LOG.API")}
    return subjects | admin_requests("$JS.API") | admin_requests("$JS.LOG.API")


@pytest.mark.parametrize("contract", EVERYBODY, ids=lambda contract: contract.service)
async def test_a_service_may_publish_what_its_contract_says_and_nothing_else(
    zoned: NatsStack, contract: Contract
) -> None:
    """Own subjects, own lease, own durables, DEAD: allowed. Everything else that exists on the bus: refused."""
    everything, allowed = universe(), allowed_to(contract)
    assert allowed < everything
    user = await zoned.connect(contract.service)
    refused = await user.refused(*sorted(everything))
    assert everything - refused == allowed


@pytest.mark.parametrize("contract", EVERYBODY, ids=lambda contract: contract.service)
async def test_a_service_hears_its_own_inbox_and_nothing_else(zoned: NatsStack, contract: Contract) -> None:
    """Nobody reads another's deliveries, nor the log past its durable."""
    foreign = [f"_INBOX_{name}.>" for name in users_of(EVERYBODY) if name != contract.service]
    foreign += [
        ">",
        "_INBOX.>",
        "_R_.>",
        "$JS.>",
        "$JS.API.>",
        "$KV.LEASES.>",
        "$KV.BUDGETS.>",
        "dead.>",
        "market.>",
        "$SYS.>",
    ]
    foreign += [f"{root}.>" for root in TRADING_ROOTS]
    user = await zoned.connect(contract.service)
    assert await user.deaf_to(*foreign, f"_INBOX_{contract.service}.>") == set(foreign)


async def test_the_observer_hears_everything_and_may_publish_nothing_but_questions(zoned: NatsStack) -> None:
    """It reads streams, consumers and its durables (the recorder's, too); it can neither write, nor create, nor delete, nor purge."""
    observer = await zoned.connect("observer")
    api = "$JS.LOG.API"
    allowed = {f"{api}.INFO", f"{api}.STREAM.LIST", f"{api}.STREAM.NAMES"}
    allowed |= {f"{api}.STREAM.{verb}.{stream}" for verb in ("MSG.GET", "INFO") for stream in STREAMS}
    allowed |= {f"{api}.CONSUMER.LIST.{stream}" for stream in STREAMS}
    everything = universe()
    allowed |= {subject for subject in everything if subject.startswith(f"{api}.CONSUMER.INFO.")}
    own = {f"{api}.CONSUMER.{verb}.{TRADING}.observer" for verb in ("MSG.NEXT", "RESET")}
    own |= {f"{api}.CONSUMER.{verb}.{MARKET}.recorder" for verb in ("MSG.NEXT", "RESET")}
    refused = await observer.refused(*sorted(everything | own))
    assert (everything | own) - refused == allowed | own
    heard = [f"{root}.>" for root in TRADING_ROOTS] + ["dead.>", "market.>", "$KV.LEASES.>"]
    heard += ["$KV.BUDGETS.>", "_INBOX_observer.>"]
    assert await observer.deaf_to(*heard, ">", "_INBOX_risk-gate.>", "$JS.>") == {">", "_INBOX_risk-gate.>", "$JS.>"}


async def test_strangers_are_refused(nats: NatsStack) -> None:
    """Without a key, with a password, or with a key nobody has registered, there is no connection."""
    nobody = {"servers": [nats.url], "allow_reconnect": False, "max_reconnect_attempts": 1, "connect_timeout": 2}
    unknown = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
    for credentials in ({}, {"user": "admin", "password": "admin"}, {"nkeys_seed_str": unknown}):
        with pytest.raises((NatsError, OSError), match=r"(?i)authorization violation"):
            await Client().connect(**nobody, **credentials)


# --- what crosses the border ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", [*GUESTS, contract_of("risk-gate")], ids=lambda contract: contract.service)
async def test_a_writer_works_the_same_inside_the_log_and_as_a_guest(zoned: NatsStack, contract: Contract) -> None:
    """Conditional append, checkpoint, lease, dead copy, reset and pull: one client serves both sides of the border."""
    user, api, writer = await zoned.connect(contract.service), api_prefix(contract), contract.writer
    condition = {"Nats_Expected_Last_Subject_Sequence_Subject": f"{writer}.>"}
    first = await user.ask(f"{writer}.started", {"n": 1}, Nats_Expected_Last_Subject_Sequence="0", **condition)
    assert first == {"stream": TRADING, "seq": 1}
    stale = await user.ask(f"{writer}.timer", {"n": 2}, Nats_Expected_Last_Subject_Sequence="0", **condition)
    assert stale["error"]["err_code"] == 10071
    second = await user.ask(f"{writer}.timer", {"n": 2}, Nats_Expected_Last_Subject_Sequence="1", **condition)
    assert second["seq"] == 2
    got = await user.ask(f"{api}.STREAM.MSG.GET.{TRADING}", {"last_by_subj": f"{writer}.>"})
    assert got["message"]["seq"] == 2
    headers = base64.b64decode(got["message"]["hdrs"])
    assert b"Nats-Expected-Last-Subject-Sequence: 1" in headers
    assert b"Nats-Request-Info" not in headers
    lease = LEASE_SUBJECTS[contract]
    assert (await user.ask(lease, b"me", Nats_Expected_Last_Subject_Sequence="0"))["seq"] == 1
    assert "error" in await user.ask(lease, b"other", Nats_Expected_Last_Subject_Sequence="0")
    assert (await user.ask("dead.TRADING_0001.9", b"x"))["stream"] == DEAD
    assert (await user.ask("dead.TRADING_0001.9", b"x"))["error"]["err_code"] == 10077
    reset = await user.ask(f"{api}.CONSUMER.RESET.{TRADING}.{contract.service}", {"seq": 2})
    assert (reset["reset_seq"], reset["num_pending"]) == (2, 1)
    assert reset["delivered"] == {"consumer_seq": 0, "stream_seq": 1}
    await user.ask(f"{api}.CONSUMER.RESET.{TRADING}.{contract.service}", {"seq": 1})
    inbox = user.client.new_inbox()
    subscription = await user.client.subscribe(inbox)
    request = json.dumps({"batch": 10, "expires": 2_000_000_000, "idle_heartbeat": 200_000_000}).encode()
    await user.client.publish(f"{api}.CONSUMER.MSG.NEXT.{TRADING}.{contract.service}", request, reply=inbox)
    delivered = [await subscription.next_msg(timeout=5) for _ in range(3)]
    assert [message.subject for message in delivered] == [f"{writer}.started", f"{writer}.timer", inbox]
    tokens = [message.reply.split(".") for message in delivered[:2]]
    assert [(token[2], token[3], token[5], token[6], token[8]) for token in tokens] == [
        (TRADING, contract.service, "1", "1", "1"),
        (TRADING, contract.service, "2", "2", "0"),
    ]
    heartbeat = delivered[2].headers or {}
    assert (heartbeat["Status"], heartbeat["Nats-Last-Consumer"], heartbeat["Nats-Last-Stream"]) == ("100", "2", "2")


async def test_a_reset_leaves_the_outstanding_pull_of_a_frozen_owner(nats: NatsStack) -> None:
    """The messages go to whoever asked first; a new owner must notice by the consumer sequence."""
    risk = await nats.connect("risk-gate")
    inbox = risk.client.new_inbox()
    frozen = await risk.client.subscribe(inbox)
    await risk.client.publish(
        f"$JS.API.CONSUMER.MSG.NEXT.{TRADING}.risk-gate", b'{"batch":5,"expires":9000000000}', reply=inbox
    )
    await risk.client.flush()
    answer = await risk.ask(f"$JS.API.CONSUMER.RESET.{TRADING}.risk-gate", {"seq": 1})
    assert answer["num_waiting"] == 1
    await risk.ask("risk.started", {"n": 1})
    assert (await frozen.next_msg(timeout=5)).subject == "risk.started"


async def test_a_lease_not_renewed_is_free_and_an_expired_one_leaves_nothing(tmp_path: Path) -> None:
    """After its time to live there is no message and no marker: the next holder expects sequence 0."""
    stack = NatsStack(tmp_path / "home")
    await stack.start(StreamLimits(lease_ttl_s=0.5))
    try:
        risk = await stack.connect("risk-gate")
        await risk.ask("$KV.LEASES.risk", b"one", Nats_Expected_Last_Subject_Sequence="0")
        while "message" in await risk.ask(f"$JS.API.STREAM.MSG.GET.{LEASES}", {"last_by_subj": "$KV.LEASES.risk"}):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        taken = await risk.ask("$KV.LEASES.risk", b"two", Nats_Expected_Last_Subject_Sequence="0")
        assert taken["seq"] == 2
    finally:
        await stack.stop()


async def test_a_lease_and_its_revision_survive_a_killed_server(nats: NatsStack) -> None:
    """Otherwise a standby could take over from a living holder, with a revision the holder also believes in."""
    risk = await nats.connect("risk-gate")
    revision = (await risk.ask("$KV.LEASES.risk", b"one"))["seq"]
    nats.kill()
    await nats.start(provisioned=False)
    again = await nats.connect("risk-gate")
    answer = await again.ask("$KV.LEASES.risk", b"other", Nats_Expected_Last_Subject_Sequence="0")
    assert answer["error"]["err_code"] == 10071
    assert (await again.ask("$KV.LEASES.risk", b"one", Nats_Expected_Last_Subject_Sequence=str(revision)))["seq"] == 2


# --- injection ------------------------------------------------------------------------------------------------------

VICTIMS = (
    "risk.approved.BTC-USDT",
    "exec.report.BTC-USDT",
    "ops.cli.command",
    "market.trade.binance.BTC-USDT",
    "dead.TRADING_0001.1",
    "$KV.LEASES.exec",
    "$KV.BUDGETS.binance.home.exec",
    "$JS.API.STREAM.DELETE.TRADING_0001",
    "$JS.API.STREAM.PURGE.TRADING_0001",
    "$JS.API.CONSUMER.DELETE.TRADING_0001.risk-gate",
)


async def state_of_everything(stack: NatsStack) -> dict[str, dict[str, int]]:
    """Every subject of every stream with its number of messages, and every consumer."""
    admin = await stack.connect("admin")
    state = {}
    for stream in STREAMS:
        found = await admin.ask(f"$JS.API.STREAM.INFO.{stream}", {"subjects_filter": ">"})
        state[stream] = found["state"].get("subjects", {}) | {"(consumers)": found["state"]["consumer_count"]}
    return state


async def settled() -> None:
    """What an attack could still cause has come: the server's answers leave it within milliseconds."""
    await asyncio.sleep(0.3)


@pytest.mark.parametrize("user", [*(contract.service for contract in GUESTS), "observer"])
async def test_a_guest_cannot_place_anything_on_a_foreign_subject_by_naming_it_as_reply(
    zoned: NatsStack, user: str
) -> None:
    """Every request a guest may make, with every victim as its reply: the log, the leases and the consumers stay as they were."""
    feed = await zoned.connect("market-feed")
    await feed.ask("feed.bars", {"planted": 1})
    guest = await zoned.connect(user)
    contract = next((each for each in GUESTS if each.service == user), None)
    durable = user if contract else "observer"
    own = sorted(said_by(contract)) if contract else []
    questions = {
        f"$JS.LOG.API.STREAM.MSG.GET.{TRADING}": b'{"seq":1}',
        f"$JS.LOG.API.STREAM.INFO.{TRADING}": b"",
        f"$JS.LOG.API.CONSUMER.INFO.{TRADING}.{durable}": b"",
        f"$JS.LOG.API.CONSUMER.MSG.NEXT.{TRADING}.{durable}": b"1",
        "$JS.LOG.API.CONSUMER.MSG.NEXT.NOWHERE.x": b"",
    }
    before = await state_of_everything(zoned)
    for victim in VICTIMS:
        await guest.client.request(f"$JS.LOG.API.CONSUMER.RESET.{TRADING}.{durable}", b'{"seq":1}', timeout=5)
        for subject, body in questions.items():
            await guest.client.publish(subject, body, reply=victim)
        for subject in own:
            await guest.client.publish(subject, b"", reply=victim)
    if own:
        await guest.ask(own[0])  # appends are taken in order: all before it are in
    await guest.ask(f"$JS.LOG.API.STREAM.INFO.{TRADING}")
    await settled()
    after = await state_of_everything(zoned)
    for subject in own:
        assert after[TRADING].pop(subject) == len(VICTIMS) + (subject == own[0])
    assert after == before


async def test_a_compromised_core_service_can_place_noise_but_not_an_event(nats: NatsStack) -> None:
    """What remains possible inside one account, stated: an answer of the server stands on another's subject, and no codec takes it.

    Neither can it end a stream or a consumer that way.
    """
    risk = await nats.connect("risk-gate")
    before = await state_of_everything(nats)
    for victim in VICTIMS[-3:]:
        await risk.ask(f"$JS.API.CONSUMER.RESET.{TRADING}.risk-gate", {"seq": 1})
        await risk.client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{TRADING}.risk-gate", b"1", reply=victim)
        await risk.client.publish("risk.started", b"", reply=victim)
    await risk.client.publish("risk.state", b"{}", reply="exec.report.BTC-USDT")
    await risk.ask("risk.alert")
    await settled()
    after = await state_of_everything(nats)
    assert after[TRADING].pop("exec.report.BTC-USDT") == 1  # the residual
    assert after[TRADING].pop("risk.started") == 3
    assert after[TRADING].pop("risk.state") == after[TRADING].pop("risk.alert") == 1
    assert after == before
    planted = await risk.ask(f"$JS.API.STREAM.MSG.GET.{TRADING}", {"last_by_subj": "exec.report.BTC-USDT"})
    with pytest.raises(BadEvent):
        decode_from("exec.report.BTC-USDT", base64.b64decode(planted["message"]["data"]))


async def test_under_its_usual_name_the_api_answers_a_guest_for_his_own_empty_account(nats: NatsStack) -> None:
    """That is why guests ask `$JS.LOG.API`; the usual name is not even permitted to them."""
    notifier = await nats.connect("notifier")
    assert await notifier.refused(f"$JS.API.STREAM.INFO.{TRADING}") == {f"$JS.API.STREAM.INFO.{TRADING}"}


# --- the configuration as text --------------------------------------------------------------------------------------


def test_every_guest_has_an_account_of_its_own(tmp_path: Path) -> None:
    """Two guests in one account could reach each other's imports through reply subjects."""
    users = users_of(EVERYBODY)
    made = accounts(EVERYBODY, ensure_keys(tmp_path, users))
    assert {account_of(contract) for contract in GUESTS} == {
        "EDGE_GATEWAY",
        "EDGE_NOTIFIER",
        "EDGE_TELEGRAM_BOT",
        "MODEL_AGENT_LLM",
        "MODEL_AGENT_PLUGIN",
    }
    for name in ("EDGE_NOTIFIER", "MODEL_AGENT_LLM", "MODEL_AGENT_PLUGIN", "OBSERVER"):
        assert len(made[name]["users"]) == 1
        assert "jetstream" not in made[name]
    exported = {json.dumps({**export, "accounts": None}): export["accounts"] for export in made[LOG]["exports"]}
    assert len(exported) == len(made[LOG]["exports"])
    assert all(names for names in exported.values())


def test_connect_options_refuse_a_key_others_can_read(tmp_path: Path) -> None:
    """A leaked seed is a leaked identity."""
    ensure_keys(tmp_path, ["risk-gate"])
    assert connect_options(tmp_path, "risk-gate")["pending_size"] == 0
    key_file(tmp_path, "risk-gate").chmod(0o644)
    with pytest.raises(KeysError, match=r"risk-gate\.nk is readable by others \(mode 0644\)"):
        connect_options(tmp_path, "risk-gate")
    with pytest.raises(KeysError, match=r"ledger\.nk is missing"):
        connect_options(tmp_path, "ledger")
