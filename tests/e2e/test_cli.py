"""The operator's command against a real server, and a log that real machines wrote under their own identities."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from libs.common.codec import decode_from, encode
from libs.common.messages import (
    AgentsScored,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    Message,
    OrderApproved,
    OrderIntent,
    PositionChanged,
    TextHeard,
    TradingStateChanged,
)
from libs.common.subjects import writer_filter
from libs.desk.commands import Order
from libs.desk.verdicts import measured
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus, BusError
from libs.runtime.contract import Contract
from libs.runtime.engine import Append
from libs.runtime.health import HealthServer, Readiness
from libs.runtime.live import LiveShell
from libs.runtime.metrics import ServiceMetrics
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contract_of, contracts, machine_of, settings_of
from libs.runtime.snapshots import SnapshotFolder
from libs.runtime.streams import TRADING
from services.cli import observer
from services.cli.app import app
from services.cli.command import say
from services.cli.exit_codes import BAD_DUMP, CANNOT_WRITE, CONFIG, FINDING, NOT_YET, OK, UNAVAILABLE
from services.cli.place import find_place
from services.cli.proof import copy_log
from tests.nats_stack import NatsStack
from tests.recorded_log import message_of, messages_of, recorded_log

SEED = 2
"""Entries, exits and filled stops within a few minutes."""


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)
    return


@pytest.fixture
async def stack(nats: NatsStack) -> NatsStack:
    """A server with a day's log in miniature, and the map that `bulkhead up` would have written."""
    await write(nats, recorded_log(SEED))
    write_map(nats.home, nats.url)
    return nats


async def write(nats: NatsStack, entries: tuple[LogEntry, ...]) -> None:
    """Append entries in their order, each as the writer who said it."""
    buses: dict[str, tuple[Contract, Bus]] = {}
    tails: dict[str, int] = {}
    for contract in contracts():
        user = await nats.connect(contract.service)
        buses[contract.writer] = contract, Bus(user.client, TRADING, api_prefix(contract))
    for entry in entries:
        message = message_of(entry)
        contract, bus = buses[message.producer]
        append = Append(entry.subject, entry.payload, message, tails.get(contract.writer, 0))
        tails[contract.writer] = await bus.append(append, writer_filter(contract.writer), {})
        assert tails[contract.writer] == entry.seq


def write_map(home: Path, nats_url: str, **services: str) -> None:
    found = {"supervisor_pid": os.getpid(), "nats_url": nats_url, "clock_url": "", "services": services}
    (home / "stack.json").write_text(json.dumps(found))


async def bulkhead(home: Path, *words: str) -> Result:
    """Run the command as a person would, beside our event loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["--home", str(home), *words])


async def answer_of(home: Path, *words: str, code: int = OK) -> Any:
    """What it says to a script."""
    result = await bulkhead(home, *words, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def last(kind: type[Message], **fields: str) -> Any:
    found = [
        message
        for _, message in messages_of(recorded_log(SEED))
        if isinstance(message, kind) and all(getattr(message, name) == value for name, value in fields.items())
    ]
    return found[-1]


# --- status -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def health_page(service: str, readiness: Readiness) -> AsyncIterator[str]:
    """A service's own health page."""
    server = HealthServer("127.0.0.1", 0, lambda: readiness, ServiceMetrics(service))
    port = await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop()


async def test_status_says_what_log_and_services_say(stack: NatsStack) -> None:
    """Orders, positions and equity are the log's, readiness is each service's own."""
    live = Readiness(ready=True, processed_seq=330, lag=2, quiescent=True, code_version="abc")
    late = Readiness(ready=False, reasons=["recovering"])
    async with health_page("ledger", live) as ledger, health_page("risk-gate", late) as gate:
        services = {"ledger": ledger, "risk-gate": gate, "notifier": "http://127.0.0.1:1"}
        write_map(stack.home, stack.url, **services)
        found = await answer_of(stack.home, "status")
        text = (await bulkhead(stack.home, "status")).stdout

    reports = [message for _, message in messages_of(recorded_log(SEED)) if isinstance(message, ExecutionReport)]
    filled = {report.cl_ord_id for report in reports if report.ord_status == "FILLED"}
    assert found["orders"]["filled"] == len(filled) > 3
    assert found["orders"]["fills"] == sum(report.exec_type == "TRADE" for report in reports)
    assert found["equity"] == str(last(EquityChanged).equity)
    for instrument, line in found["positions"].items():
        assert Decimal(line["signed_qty"]) == last(PositionChanged, instrument=instrument).signed_qty
    assert (found["trading_state"], found["reconciled"], found["uncovered"]) == ("ACTIVE", True, [])
    assert found["log"]["stream"] == TRADING
    assert found["log"]["last_seq"] == len(recorded_log(SEED))
    assert found["services"]["ledger"]["up"]
    assert found["services"]["ledger"]["processed_seq"] == 330
    assert (found["services"]["risk-gate"]["up"], found["services"]["risk-gate"]["phase"]) == (True, "recovering")
    assert not found["services"]["notifier"]["up"]
    assert len(found["findings"]) == 2
    assert f"{len(filled)} filled" in text
    assert "risk-gate is not ready: recovering" in text


async def test_status_goes_on_where_the_last_one_ended(stack: NatsStack) -> None:
    """What was learnt is kept beside the log; of another log nothing is believed."""
    write_map(stack.home, stack.url)
    first = await answer_of(stack.home, "status", "--check")
    kept = stack.home / "status.view.json"
    believed = json.loads(kept.read_text())
    believed["facts"]["denied"] = 1000
    kept.write_text(json.dumps(believed))
    assert (await answer_of(stack.home, "status"))["orders"]["denied"] == 1000, "it was not read again"
    kept.write_text(json.dumps({**believed, "digest": "of another log"}))
    again = await answer_of(stack.home, "status")
    assert again == first


async def test_check_turns_findings_into_an_exit_code(stack: NatsStack) -> None:
    """A script that asks whether all is well gets its answer without reading."""
    write_map(stack.home, stack.url, ledger="http://127.0.0.1:1")
    found = await answer_of(stack.home, "status", "--check", code=FINDING)
    assert found["findings"] == [f"ledger is not ready: {found['services']['ledger']['phase']}"]


async def test_two_readers_take_turns(stack: NatsStack) -> None:
    """Two commands at once read the whole log each, though there is one durable for people."""
    place = find_place(stack.home)
    logs: list[list[int]] = [[], [], []]
    counts = await asyncio.gather(*(copy_log(place, lambda entry, log=log: log.append(entry.seq)) for log in logs))
    assert counts == [len(recorded_log(SEED))] * 3
    assert all(log == list(range(1, len(recorded_log(SEED)) + 1)) for log in logs)


async def test_a_reader_that_never_ends_its_turn_is_named(stack: NatsStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the log too long is told that another command holds it."""
    monkeypatch.setattr(observer, "TURN_S_MAX", 0.2)
    async with observer.observing(find_place(stack.home)):
        result = await bulkhead(stack.home, "status")
    assert result.exit_code == NOT_YET
    assert "another bulkhead command" in result.stderr


async def test_a_bus_that_falls_silent_is_not_waited_for(stack: NatsStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs in the middle of the log ends the reading with words, not with patience."""
    monkeypatch.setattr(observer, "SILENCE_S_MAX", 0.5)
    async with observer.observing(find_place(stack.home)) as reader:
        stack.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(BusError, match="fell silent"):
                _ = [entry async for entry in reader.entries(1, 1_000_000)]
        finally:
            stack.process.send_signal(signal.SIGCONT)


async def test_a_bus_that_hangs_is_named_and_the_services_still_speak(stack: NatsStack) -> None:
    """The text says who does not answer, for how long it was asked, and what to do; the services' words are shown."""
    async with health_page("ledger", Readiness(ready=False, reasons=["the bus is unreachable"])) as ledger:
        write_map(stack.home, stack.url, ledger=ledger)
        stack.process.send_signal(signal.SIGSTOP)
        try:
            found = await answer_of(stack.home, "status", code=UNAVAILABLE)
            text = await bulkhead(stack.home, "status")
            doctor = await answer_of(stack.home, "doctor", code=FINDING)
        finally:
            stack.process.send_signal(signal.SIGCONT)
    assert "does not answer within 3 s" in found["error"]
    assert f"(pid {stack.process.pid})" in found["error"]
    assert f"kill -CONT {stack.process.pid}" in found["what_to_do"]
    assert found["services"]["ledger"]["phase"] == "the bus is unreachable"
    assert "the bus is unreachable" in text.stdout
    assert text.stderr.splitlines()[-1].startswith("what to do: ")
    failed = [check["check"] for check in doctor["checks"] if check["level"] == "FAIL"]
    assert failed == ["bus", "ledger"]


async def test_a_log_shorter_than_it_was_is_found(stack: NatsStack) -> None:
    """A watermark beyond its end says that acknowledged events are gone; of another log it says nothing."""
    marks = SnapshotFolder(stack.home, "ledger")
    marks.save_watermark("OTHER", 1_000_000)
    (stack.home / "snapshots" / "portfolio.watermark").write_text(f"{TRADING} garbage\n")
    assert (await answer_of(stack.home, "status"))["findings"] == []
    marks.save_watermark(TRADING, 1_000_000)
    (finding,) = (await answer_of(stack.home, "status", "--check", code=FINDING))["findings"]
    assert "events are lost" in finding
    checks = (await answer_of(stack.home, "doctor", code=FINDING))["checks"]
    assert [check["level"] for check in checks if check["check"] == "log"] == ["FAIL"]


async def test_a_stranger_at_a_services_port_is_not_the_service(stack: NatsStack) -> None:
    """Whatever answers there says nothing about readiness."""
    write_map(stack.home, stack.url, ledger=f"http://127.0.0.1:{stack.monitor_port}")
    found = await answer_of(stack.home, "status")
    assert "somebody else answers" in found["services"]["ledger"]["phase"]
    assert not found["services"]["ledger"]["up"]


async def test_an_empty_log_is_a_log(nats: NatsStack) -> None:
    """Before the first event everything is zero and nothing is wrong with that."""
    write_map(nats.home, nats.url)
    found = await answer_of(nats.home, "status")
    assert (found["log"]["last_seq"], found["equity"], found["positions"]) == (0, None, {})
    assert (await answer_of(nats.home, "replay", "--verify"))["events"] == 0
    missing = await answer_of(nats.home, "trace", "latest", code=FINDING)
    assert "0 events" in missing["error"]


async def test_a_server_of_another_home_is_not_ours(stack: NatsStack, tmp_path: Path) -> None:
    """Without the keys of this state folder there is no answer, and the reason is said."""
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    write_map(stranger, stack.url)
    assert "observer.nk is missing" in (await answer_of(stranger, "status", code=CONFIG))["error"]
    other = NatsStack(stranger)
    await other.start(provisioned=False)
    await other.stop()
    assert "does not accept observer" in (await answer_of(stranger, "status", code=UNAVAILABLE))["error"]


# --- trace --------------------------------------------------------------------------------------------------------


async def test_trace_tells_an_intent_from_bar_to_message(stack: NatsStack) -> None:
    """The story of one intent: every step in the order of the log, with its time since the step before."""
    intent = last(OrderIntent, side="BUY")
    found = await answer_of(stack.home, "trace", intent.intent_id[:12])
    roles = [event["role"] for event in found["events"]]
    expected = ["bars", "signals", "intent", "verdict", "submitting", "fill", "posting", "position"]
    assert [role for role in expected if role in roles] == expected
    assert [roles.index(role) for role in expected] == sorted(roles.index(role) for role in expected)
    assert found["target"] == {"kind": "intent", "id": intent.intent_id, "instrument": ""}
    assert {"notice", "sent", "equity"} <= set(roles)
    by_role = {event["role"]: event for event in found["events"]}
    assert by_role["verdict"]["cause_seq"] == by_role["intent"]["seq"]
    assert all(event["stored_at"] > 0 for event in found["events"])
    assert all(event["latency_ns"] > 0 for event in found["events"] if event["cause_seq"])
    assert by_role["verdict"]["message"]["checks"]


async def test_trace_shows_people_every_check_with_its_numbers(stack: NatsStack) -> None:
    """Why it was allowed can be read without a tool."""
    approved = last(OrderApproved)
    text = (await bulkhead(stack.home, "trace", approved.intent_id)).stdout
    assert all(check.code in text for check in approved.checks)
    assert [check.code for check in approved.checks if measured(check.code, check.value) not in text] == []
    (deadline,) = [check.value for check in approved.checks if check.code == "STALE_INTENT"]
    assert deadline not in text, "nobody reads nanoseconds"
    assert "the log's clock" in text


async def test_trace_says_what_an_id_may_mean(stack: NatsStack, tmp_path: Path) -> None:
    """A number of the venue names an order and a trade; each can be asked for by its own name."""
    result = await answer_of(stack.home, "trace", "1", code=FINDING)
    keys = {each["key"] for each in result["ambiguous"]}
    assert {key.split(":")[0] for key in keys} == {"venue-order", "exec"}
    for key in keys:
        assert (await answer_of(stack.home, "trace", key))["events"]
    spoken = await bulkhead(stack.home, "trace", "1")
    assert all(f"bulkhead trace {key}" in spoken.stdout for key in keys)
    unknown = await bulkhead(stack.home, "trace", "0123456789abcdef")
    assert unknown.exit_code == FINDING
    assert unknown.stderr.splitlines()[-1].startswith("what to do: ")


async def test_a_dump_can_be_traced_elsewhere(stack: NatsStack, tmp_path: Path) -> None:
    """The story of the newest fill is the same from a file, on a machine without a stack."""
    path = tmp_path / "log.jsonl"
    assert (await answer_of(stack.home, "log", "dump", str(path)))["entries"] == len(recorded_log(SEED))
    here = await answer_of(stack.home, "trace", "latest")
    there = await answer_of(tmp_path / "nowhere", "trace", "latest", "--from-file", str(path))
    assert [event["seq"] for event in there["events"]] == [event["seq"] for event in here["events"]]
    again = await bulkhead(stack.home, "log", "dump", str(path))
    assert again.exit_code == CANNOT_WRITE
    assert "there already" in again.stderr
    nowhere = await bulkhead(stack.home, "log", "dump", str(tmp_path / "no" / "folder"))
    assert nowhere.exit_code == CANNOT_WRITE


# --- replay -------------------------------------------------------------------------------------------------------


async def test_replay_proves_a_real_log(stack: NatsStack, tmp_path: Path) -> None:
    """Live or from a dump: the same events, all derived again, the same digest."""
    path = tmp_path / "log.jsonl"
    await bulkhead(stack.home, "log", "dump", str(path))
    live = await answer_of(stack.home, "replay", "--verify")
    dumped = await answer_of(tmp_path, "replay", "--verify", "--from-file", str(path))
    assert live == dumped
    assert (live["mismatches"], live["mismatch_list"], live["other_code"]) == (0, [], 0)
    assert live["events"] == live["taken_as_input"] + live["verified"] == live["last_seq"] == len(recorded_log(SEED))
    assert live["verified"] > 100
    assert "clean" in (await bulkhead(stack.home, "replay")).stdout


async def test_a_forged_event_is_found(stack: NatsStack, tmp_path: Path) -> None:
    """An altered line of a dump, and an event that a writer's identity put into the live log."""
    path = tmp_path / "log.jsonl"
    await bulkhead(stack.home, "log", "dump", str(path))
    lines = path.read_text().splitlines(keepends=True)
    index = next(number for number, line in enumerate(lines) if '"portfolio.intent.' in line)
    intent = json.loads(lines[index])
    qty = json.loads(intent["payload"])["order_qty"]
    forged = {**intent, "payload": intent["payload"].replace(f'"order_qty":"{qty}"', '"order_qty":"9999"')}
    path.write_text("".join([*lines[:index], json.dumps(forged) + "\n", *lines[index + 1 :]]))
    found = await answer_of(tmp_path, "replay", "--from-file", str(path), code=FINDING)
    assert {"seq": index + 1, "writer": "portfolio", "kind": "different"}.items() <= found["mismatch_list"][0].items()
    path.write_text("".join(lines[:index] + lines[index + 1 :]))
    assert "missing" in (await answer_of(tmp_path, "replay", "--from-file", str(path), code=BAD_DUMP))["error"]

    contract = contract_of("portfolio")
    user = await stack.connect("portfolio")
    bus = Bus(user.client, TRADING, api_prefix(contract))
    tail = await bus.last_under("portfolio.>")
    assert tail is not None
    invented = msgspec.structs.replace(message_of(tail), id="0" * 32)
    await bus.append(Append(tail.subject, encode(invented), invented, tail.seq), "portfolio.>", {})
    result = await bulkhead(stack.home, "replay")
    assert result.exit_code == FINDING
    assert "is NOT what these machines say" in result.stdout


# --- the operator -------------------------------------------------------------------------------------------------


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


async def test_an_operator_halts_and_resumes(stack: NatsStack) -> None:
    """The command says what the gate made of it; the same word again changes nothing."""
    async with risk_gate(stack):
        halted = await answer_of(stack.home, "halt", "--reason", "news", "--author", "ada", "--wait", "30")
        assert (halted["answered"], halted["changed"], halted["state"]) == (True, True, "HALTED")
        again = await bulkhead(stack.home, "halt", "--reason", "news", "--author", "ada", "--wait", "30")
        assert again.exit_code == OK
        assert "changes nothing: trading is HALTED already" in again.stdout
        assert (await answer_of(stack.home, "status"))["trading_state"] == "HALTED"
        reduced = await answer_of(stack.home, "reduce", "--reason", "calmer", "--wait", "30")
        resumed = await answer_of(stack.home, "resume", "--reason", "quiet again", "--wait", "30")
        assert (reduced["state"], resumed["state"]) == ("REDUCING", "ACTIVE")
        story = await answer_of(stack.home, "trace", halted["id"])
    assert [event["role"] for event in story["events"]] == ["command", "state"]
    changed = story["events"][1]["message"]
    assert (changed["type"], changed["author"]) == (TradingStateChanged.__struct_config__.tag, "ada")


async def test_an_operator_overrides_the_regime_and_revokes(stack: NatsStack) -> None:
    """The gate answers with the override's id; it is listed until it is revoked, and what the gate refuses is a finding."""
    said = ("risk", "override", "BTC-USDT", "--author", "ada", "--wait", "30", "--reason")
    async with risk_gate(stack):
        await answer_of(
            stack.home, "resume", "--reason", "its first answer", "--wait", "30"
        )  # its own settings from here
        taken = await answer_of(stack.home, *said, "capitulation", "--hours", "24")
        assert (taken["answered"], taken["changed"]) == (True, True)
        (listed,) = await answer_of(stack.home, "risk", "override", "--list")
        assert (listed["override_id"], listed["author"], listed["state"]) == (taken["id"], "ada", "IN_FORCE")
        assert listed["valid_until"] - listed["ts_init"] <= 24 * 3_600_000_000_000
        assert (await answer_of(stack.home, *said, "over", "--revoke"))["changed"]
        assert await answer_of(stack.home, "risk", "override", "--list") == []
        refused = await bulkhead(stack.home, *said, "again", "--revoke")
        assert refused.exit_code == FINDING
        story = await answer_of(stack.home, "trace", taken["id"])
    assert [event["role"] for event in story["events"]][:2] == ["override", "override"]
    assert (await bulkhead(stack.home, *said, "for ever", "--hours", "169")).exit_code == 2
    assert (await bulkhead(stack.home, *said, " ")).exit_code == 2


async def test_a_command_nobody_reads_is_in_the_log_all_the_same(stack: NatsStack) -> None:
    """Without a gate the word waits for it, and the exit code says so; an empty reason is none."""
    said = await bulkhead(stack.home, "halt", "--reason", "fire", "--wait", "0", "--json")
    assert said.exit_code == NOT_YET
    outcome = json.loads(said.stdout)
    assert (outcome["answered"], outcome["changed"], outcome["state"]) == (False, False, "ACTIVE")
    assert outcome["seq"] == len(recorded_log(SEED)) + 1
    assert "status" in said.stderr.splitlines()[-1]
    assert (await bulkhead(stack.home, "resume", "--reason", " ")).exit_code == 2


async def test_operators_who_speak_at_once_are_all_heard(stack: NatsStack) -> None:
    """Four commands at the same moment stand in the log one after the other, each once."""
    place = find_place(stack.home)
    words = ("HALT", "REDUCE", "RESUME", "HALT")
    said = await asyncio.gather(*(say(place, Order(word=word, reason="x", author="ada"), wait_s=0.0) for word in words))
    first = len(recorded_log(SEED)) + 1
    assert sorted(outcome.seq for outcome in said) == list(range(first, first + len(words)))
    assert len({outcome.id for outcome in said}) == len(words)


# --- doctor -------------------------------------------------------------------------------------------------------


async def test_doctor_looks_at_the_running_bus(stack: NatsStack) -> None:
    """A bus that is as needed is well; a stream that differs is named with its field."""
    found = await answer_of(stack.home, "doctor")
    by_name = {check["check"]: check for check in found["checks"]}
    assert by_name["bus"]["level"] == "OK"
    assert by_name["ports"]["level"] == "OK"
    admin = await stack.connect("admin")
    config = (await admin.ask("$JS.API.STREAM.INFO.MARKET"))["config"] | {"max_bytes": 1_000_000}
    assert "error" not in await admin.ask("$JS.API.STREAM.UPDATE.MARKET", config)
    worse = await answer_of(stack.home, "doctor", code=FINDING)
    bus = next(check for check in worse["checks"] if check["check"] == "bus")
    assert bus["level"] == "FAIL"
    assert "MARKET" in bus["text"]
    assert "max_bytes" in bus["text"]
    assert bus["cure"]


async def test_an_operator_accepts_the_balances(stack: NatsStack) -> None:
    """In the log under the operator's name; while no executor has compared since, the exit code says: not yet."""
    said = await bulkhead(
        stack.home, "accept-balances", "--reason", "paid in", "--author", "ada", "--wait", "0", "--json"
    )
    assert said.exit_code == NOT_YET
    assert (json.loads(said.stdout)["answered"], json.loads(said.stdout)["clean"]) == (False, False)
    assert "bulkhead status" in said.stderr


# --- agents -------------------------------------------------------------------------------------------------------


async def test_what_agents_were_worth_is_told(stack: NatsStack) -> None:
    """The record that the portfolio said last, and how many decisions a model drove: the same in `status`."""
    found, status = await answer_of(stack.home, "agents", "scores"), await answer_of(stack.home, "status")
    scored, made = last(AgentsScored), last(DecisionsMade)
    assert found["end_ts"] == scored.end_ts
    assert [each["agent_id"] for each in found["scores"]] == [each.agent_id for each in scored.scores]
    coverage = (made.mode, made.model_driven, made.model_asked)
    assert (found["model"]["mode"], found["model"]["driven"], found["model"]["asked"]) == coverage
    assert (status["model"]["mode"], status["model"]["driven"], status["model"]["asked"]) == coverage
    shown = (await bulkhead(stack.home, "agents", "scores")).stdout
    assert f"{made.model_driven} of {made.model_asked} decisions model-driven" in shown


async def test_no_record_yet_is_said_so(nats: NatsStack) -> None:
    """A young book: exit code 1, and when there will be one."""
    write_map(nats.home, nats.url)
    refused = await bulkhead(nats.home, "agents", "scores")
    assert refused.exit_code == FINDING
    assert "no vote has been resolved yet" in refused.stderr


async def test_a_text_reaches_the_log_as_it_is(stack: NatsStack) -> None:
    """From standard input or an option, whatever it holds; what is no character becomes one that can be read."""
    words = "ETF approved \x1b[31m \u202e drow"
    found = await answer_of(
        stack.home, "agents", "tell", "BTC-USDT", "--source", "wire", "--text", words, "--author", "me"
    )
    entry = (await stack.connect("admin")).ask(f"$JS.API.STREAM.MSG.GET.{TRADING}", {"seq": found["seq"]})
    message = decode_from("ops.cli.text", base64.b64decode((await entry)["message"]["data"]))
    assert isinstance(message, TextHeard)
    assert (message.instrument, message.source, message.text, message.author) == ("BTC-USDT", "wire", words, "me")
    raw = await asyncio.to_thread(
        CliRunner().invoke,
        app,
        ["--home", str(stack.home), "agents", "tell", "--source", "wire"],
        input=b"half \xf0\x9f",
    )
    assert raw.exit_code == OK, raw.output


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        (("--source", "a b", "--text", "x"), "a short name"),
        (("--source", "wire", "--text", " "), "nothing to read"),
        (("--source", "wire", "--text", "x" * 4001), "at most 4000"),
        (("BTC USDT", "--source", "wire", "--text", "x"), "like BTC-USDT"),
    ],
)
async def test_a_text_that_cannot_be_told_is_refused_with_the_reason(
    tmp_path: Path, words: tuple[str, ...], wish: str
) -> None:
    """Before anybody is asked: the option, and what it wants."""
    refused = await bulkhead(tmp_path, "agents", "tell", *words)
    assert refused.exit_code == 2
    assert wish in " ".join(refused.stderr.split())


# --- the books ----------------------------------------------------------------------------------------------------


async def test_the_journal_of_a_running_stack_is_proven(stack: NatsStack) -> None:
    """From the live log alone: as many entries as it has, and a head that is not theirs is a finding."""
    count = len([1 for entry in recorded_log(SEED) if entry.subject == "ledger.entry"])
    found = await answer_of(stack.home, "ledger", "verify", "--without-database")
    assert (found["ok"], found["log"]["entries"], found["tables"]) == (True, count, None)
    longer = f"{'0' * 64}:{count + 1}"
    found = await answer_of(stack.home, "ledger", "verify", "--without-database", "--head", longer, code=FINDING)
    assert [each["fault"] for each in found["findings"]] == ["TRUNCATED"]
