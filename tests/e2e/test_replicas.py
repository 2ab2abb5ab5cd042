"""Three servers, three copies of the log: one may be killed, and what was acknowledged is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.codec import encode
from libs.common.messages import AlertRaised
from libs.runtime.bus import Bus, BusError
from libs.runtime.engine import Append
from libs.runtime.provision import ProvisionError, provision
from libs.runtime.registry import contracts
from libs.runtime.streams import BUDGETS, DEAD, LEASES, TRADING, StreamLimits, stream_configs
from tests.nats_cluster import NatsCluster

THREE = StreamLimits(replicas=3)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[NatsCluster]:
    cluster = NatsCluster(tmp_path)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


class Writer:
    """Numbered alerts under the gate's prefix; an append that was not answered is looked for before it is tried again."""

    def __init__(self, bus: Bus):
        self._bus = bus
        self.acknowledged: list[int] = []
        self._tail = 0

    async def write(self, count: int) -> None:
        for _ in range(count):
            await self._one(f"replica-{len(self.acknowledged)}")

    async def _one(self, identity: str) -> None:
        message = AlertRaised(id=identity, producer="risk", code="BENCH", severity="note", text=identity)
        async with asyncio.timeout(60):
            while True:
                append = Append("risk.alert", encode(message), message, self._tail)
                try:
                    self._tail = await self._bus.append(append, "risk.>", {})
                except BusError:
                    await asyncio.sleep(0.2)
                    continue
                self.acknowledged.append(self._tail)
                return


async def test_the_log_goes_on_without_any_one_of_three_servers(cluster: NatsCluster) -> None:
    """The leader is killed between appends: the writer's next one is taken by the others, nothing acknowledged is lost, and the dead one catches up."""
    admin = await cluster.connect("admin")
    made = await provision(admin, contracts(), THREE)
    assert next(line for line in made if "stream" in line) == f"created stream {TRADING}"
    assert await provision(admin, contracts(), THREE) == []
    bus = await Bus.connect(cluster.options("risk-gate"), TRADING)
    writer = Writer(bus)
    await writer.write(20)
    found = (await cluster.info(admin))["cluster"]
    assert len(found["replicas"]) == 2
    leader = int(found["leader"].removeprefix("nats-"))
    cluster.kill(leader)
    await writer.write(20)
    assert writer.acknowledged == list(range(1, 41))
    cluster.start_one(leader)
    await cluster.formed()
    state = await cluster.info(await cluster.connect("admin"))
    assert state["state"]["last_seq"] == 40
    assert all(each["current"] for each in state["cluster"]["replicas"])
    await bus.close()


async def test_one_copy_becomes_three_where_the_bus_has_grown_and_never_fewer_by_mistake(cluster: NatsCluster) -> None:
    """A log that began on one server is copied to the others by the job that opens a deployment; to take copies away is a person's decision."""
    admin = await cluster.connect("admin")
    await provision(admin, contracts())
    bus = await Bus.connect(cluster.options("risk-gate"), TRADING)
    await Writer(bus).write(5)
    await bus.close()
    names = [config["name"] for config in stream_configs(THREE) if config["num_replicas"] == 3]
    assert names == [TRADING, DEAD, LEASES, BUDGETS]
    assert await provision(admin, contracts(), THREE) == [f"updated stream {name}: 3 copies" for name in names]
    state = await cluster.info(admin)
    assert (state["state"]["last_seq"], state["config"]["num_replicas"]) == (5, 3)
    with pytest.raises(ProvisionError, match="num_replicas: wanted 1, found 3"):
        await provision(admin, contracts())
