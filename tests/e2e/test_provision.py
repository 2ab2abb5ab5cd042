"""The bus is brought into the described state once, and a bus that differs is refused by the name of what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.runtime import stream_api
from libs.runtime.contract import Contract
from libs.runtime.nats_server import NatsServerError, wait_healthy
from libs.runtime.provision import ProvisionError, check_server_version, provision, verify
from libs.runtime.registry import SERVICES, contract_of, contracts, module_of
from libs.runtime.streams import BUDGETS, DEAD, LEASES, MARKET, TRADING, StreamLimits, consumers, stream_configs
from tests.nats_stack import NatsStack, User

CONFIGS = {config["name"]: config for config in stream_configs()}


async def recreate(admin: User, name: str, **changed: Any) -> None:
    """Put a stream with another configuration in the place of ours."""
    await admin.ask(f"$JS.API.STREAM.DELETE.{name}")
    answer = await admin.ask(f"$JS.API.STREAM.CREATE.{name}", {**CONFIGS[name], **changed})
    assert "error" not in answer


async def test_provisioning_twice_changes_nothing(nats: NatsStack) -> None:
    """The second run finds everything as it should be."""
    admin = await nats.connect("admin")
    assert await provision(admin.client, nats.contracts) == []
    assert await verify(admin.client, nats.contracts) == []


async def test_a_fresh_server_is_given_everything(tmp_path: Path) -> None:
    """Five streams, a durable for each service, each projection, and three for people."""
    stack = NatsStack(tmp_path / "home")
    await stack.start(provisioned=False)
    try:
        admin = await stack.connect("admin")
        assert any("TRADING_0001: stream not found" in line for line in await verify(admin.client, contracts()))
        done = await provision(admin.client, contracts())
        assert done[:5] == [f"created stream {name}" for name in (TRADING, MARKET, DEAD, LEASES, BUDGETS)]
        durables = {line.split()[2] for line in done[5:]}
        assert durables == {
            *SERVICES,
            "gateway-log",
            "ledger-sql",
            "telegram-bot-log",
            "console",
            "observer",
            "recorder",
        }
    finally:
        await stack.stop()


@pytest.mark.parametrize(
    ("stream", "field", "value", "said"),
    [
        (TRADING, "deny_purge", False, "deny_purge: wanted true, found false"),
        (TRADING, "deny_delete", False, "deny_delete: wanted true, found false"),
        (TRADING, "max_age", 3_600_000_000_000, "max_age: wanted 0, found 3600000000000"),
        (TRADING, "max_bytes", 1_000_000, "max_bytes: wanted -1, found 1000000"),
        (TRADING, "discard", "old", 'discard: wanted "new", found "old"'),
        (TRADING, "storage", "memory", 'storage: wanted "file", found "memory"'),
        (TRADING, "compression", "none", 'compression: wanted "s2", found "none"'),
        (TRADING, "max_msg_size", 1000, "max_msg_size: wanted 524288, found 1000"),
        (TRADING, "duplicate_window", 60_000_000_000, "duplicate_window: wanted 120000000000, found 60000000000"),
        (TRADING, "subjects", ["feed.>"], 'subjects: wanted ["feed.>"'),
        (TRADING, "persist_mode", "async", 'persist_mode: wanted "default", found "async"'),
        (TRADING, "allow_msg_ttl", True, "allow_msg_ttl: wanted false, found true"),
        (TRADING, "republish", {"src": ">", "dest": "copy.>"}, "republish: wanted nothing, found"),
        (MARKET, "persist_mode", "default", 'persist_mode: wanted "async", found nothing'),
        (MARKET, "max_bytes", -1, "max_bytes: wanted 536870912, found -1"),
        (DEAD, "discard_new_per_subject", False, "discard_new_per_subject: wanted true"),
        (DEAD, "max_msgs_per_subject", 5, "max_msgs_per_subject: wanted 1, found 5"),
        (LEASES, "max_age", 60_000_000_000, "max_age: wanted 3000000000, found 60000000000"),
        (BUDGETS, "max_msgs_per_subject", 5, "max_msgs_per_subject: wanted 1, found 5"),
        (BUDGETS, "persist_mode", "async", 'persist_mode: wanted "default", found "async"'),
        (LEASES, "storage", "memory", 'storage: wanted "file", found "memory"'),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
async def test_a_stream_that_differs_in_one_field_is_refused_by_name(
    nats: NatsStack, stream: str, field: str, value: Any, said: str
) -> None:
    """Drift is an error of the operator's, never repaired in silence."""
    admin = await nats.connect("admin")
    await recreate(admin, stream, **{field: value})
    before = await admin.ask(f"$JS.API.STREAM.INFO.{stream}")
    with pytest.raises(ProvisionError) as caught:
        await provision(admin.client, nats.contracts)
    assert f"stream {stream}: {said}" in str(caught.value)
    assert (await admin.ask(f"$JS.API.STREAM.INFO.{stream}"))["config"] == before["config"]


async def test_a_contract_that_reads_more_updates_its_durable(nats: NatsStack) -> None:
    """A consumer holds nothing that could be lost, so its filters follow the contract."""
    trend = contract_of("agent-trend")
    more = msgspec.structs.replace(trend, consumes=(*trend.consumes, *contract_of("risk-gate").consumes))
    grown = tuple(more if each is trend else each for each in nats.contracts)
    admin = await nats.connect("admin")
    assert any("agent-trend" in line and "filter_subjects" in line for line in await verify(admin.client, grown))
    assert await provision(admin.client, grown) == [f"updated consumer agent-trend of {TRADING}"]
    found = await admin.ask(f"$JS.API.CONSUMER.INFO.{TRADING}.agent-trend")
    assert found["config"]["filter_subjects"] == sorted(more.filters)
    assert await provision(admin.client, grown) == []


async def test_a_durable_of_another_kind_is_refused(nats: NatsStack) -> None:
    """A push consumer, or one that waits for acknowledgements, under a service's name is somebody else's work."""
    admin = await nats.connect("admin")
    await admin.ask(f"$JS.API.CONSUMER.DELETE.{TRADING}.ledger")
    config = {"durable_name": "ledger", "name": "ledger", "ack_policy": "explicit", "deliver_policy": "all"}
    await admin.ask(f"$JS.API.CONSUMER.CREATE.{TRADING}.ledger", {"stream_name": TRADING, "config": config})
    with pytest.raises(ProvisionError, match=r'consumer ledger of TRADING_0001: ack_policy: wanted "none", found "exp'):
        await provision(admin.client, nats.contracts)


async def test_only_admin_can_provision(nats: NatsStack) -> None:
    """A service that tries is told what may be wrong."""
    risk = await nats.connect("risk-gate")
    before, stream_api.API_TIMEOUT_S = stream_api.API_TIMEOUT_S, 0.3
    try:
        await risk.ask(f"$JS.API.STREAM.INFO.{TRADING}")  # reading is allowed to it
        other = (Contract(service="new", writer="risk", zone=nats.contracts[3].zone, consumes=(), produces=()),)
        with pytest.raises(ProvisionError, match="is this user admin"):
            await provision(risk.client, other)
    finally:
        stream_api.API_TIMEOUT_S = before


async def test_what_the_server_refuses_is_told(nats: NatsStack) -> None:
    """Two streams may not share subjects: the server's own words are passed on."""
    admin = await nats.connect("admin")
    await admin.ask("$JS.API.STREAM.DELETE.DEAD")
    await admin.ask("$JS.API.STREAM.CREATE.OTHER", {"name": "OTHER", "subjects": ["dead.>"]})
    with pytest.raises(ProvisionError, match=r"could not create stream DEAD: subjects overlap .*\(error 10065\)"):
        await provision(admin.client, nats.contracts)


@pytest.mark.parametrize("version", ["2.14.3", "2.15.1", "2.12.12", "2.12.40", "v3.0.0", "<nats server v2.15.1>"])
def test_a_server_of_this_age_is_taken(version: str) -> None:
    """2.14.3 and newer, and 2.12 from .12 on."""
    assert check_server_version(version) is None


@pytest.mark.parametrize("version", ["2.14.2", "2.14.3-RC.1", "2.12.11", "2.13.9", "2.9.10", "1.4.0", "0.0.0-unknown"])
def test_an_older_server_is_refused(version: str) -> None:
    """The text names what was found and what is wanted."""
    with pytest.raises(ProvisionError, match=r"too old .* wanted 2\.14\.3 or newer"):
        check_server_version(version)


def test_a_server_without_a_version_is_refused() -> None:
    """Something else answers on that port."""
    with pytest.raises(ProvisionError, match="not a version"):
        check_server_version("banana")


def test_every_durable_has_its_own_name() -> None:
    """Two services on one durable would steal each other's messages."""
    names = [consumer.durable for consumer in consumers(contracts())]
    assert len(names) == len(set(names))


def test_the_streams_follow_the_deployments_limits() -> None:
    """A lease's time to live is the age limit of its stream, and never shorter than the duplicate window."""
    leases = {config["name"]: config for config in stream_configs(StreamLimits(lease_ttl_s=300.0, replicas=3))}[LEASES]
    assert (leases["max_age"], leases["duplicate_window"], leases["num_replicas"]) == (300 * 10**9, 120 * 10**9, 3)


async def test_a_lease_that_lived_longer_before_is_shortened_and_nothing_else_is_repaired(tmp_path: Path) -> None:
    """A bus made when leases lived for five seconds is taken over by code that wants three; any other difference is refused."""
    stack = NatsStack(tmp_path / "home")
    await stack.start(StreamLimits(lease_ttl_s=5.0))
    try:
        admin = await stack.connect("admin")
        assert await provision(admin.client, contracts()) == [f"updated stream {LEASES}"]
        assert await provision(admin.client, contracts()) == []
        with pytest.raises(ProvisionError, match="num_replicas"):
            await provision(admin.client, contracts(), StreamLimits(lease_ttl_s=5.0, replicas=3))
    finally:
        await stack.stop()


def test_an_unknown_service_is_named_with_those_there_are() -> None:
    """A typing error in a command is answered with the list."""
    with pytest.raises(KeyError, match="no service 'risk'; there are market-feed"):
        module_of("risk")


async def test_a_server_that_ends_at_once_is_told_with_its_words(tmp_path: Path) -> None:
    """A port that is taken, for example."""
    stack, other = NatsStack(tmp_path / "a"), NatsStack(tmp_path / "b")
    await stack.start()
    other.port = stack.port
    try:
        with pytest.raises(NatsServerError, match="address already in use"):
            await other.start()
    finally:
        await stack.stop()
        other.kill()


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """The text ends with what it said last."""
    with pytest.raises(NatsServerError, match=r"not healthy after 0.1 s:\nnothing"):
        await wait_healthy(1, ended=lambda: False, last_words=lambda: "nothing", deadline_s=0.1)
