"""The log's client against a real nats-server: conditions, gaps, takeovers, kills."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from libs.common.codec import encode
from libs.common.messages import AlertRaised
from libs.runtime.bus import AppendUnknown, Bus, BusError, Fenced
from libs.runtime.engine import Append
from libs.runtime.lease import Lease, LeaseLost
from libs.runtime.nats_config import api_prefix, connect_options
from libs.runtime.ordered_pull import OrderedPull
from libs.runtime.registry import contract_of
from libs.runtime.streams import TRADING
from tests.nats_stack import NatsStack


async def bus_of(nats: NatsStack, service: str) -> Bus:
    """A connection with the identity of a service."""
    options = connect_options(nats.home, service, nats.url)
    return await Bus.connect(options, TRADING, api=api_prefix(contract_of(service)))


def alert(writer: str, number: int, tail: int) -> Append:
    """A numbered message of a writer whose prefix is believed to end at `tail`."""
    message = AlertRaised(id=f"{writer}-{number}", producer=writer, code="TEST", severity="note", text=str(number))
    return Append(f"{writer}.alert", encode(message), message, tail)


async def append_many(bus: Bus, writer: str, count: int, tail: int = 0, first: int = 0) -> int:
    """Append `count` messages; returns the seq of the last."""
    for number in range(first, first + count):
        tail = await bus.append(alert(writer, number, tail), f"{writer}.>", {})
    return tail


async def read(pull: OrderedPull, count: int) -> list[int]:
    """The next `count` sequences."""
    seqs: list[int] = []
    async with asyncio.timeout(20):
        while len(seqs) < count:
            pulled = await pull.next()
            if pulled is not None:
                seqs.append(pulled.entry.seq)
    return seqs


@pytest.mark.parametrize("service", ["risk-gate", "notifier"])
async def test_an_append_holds_only_at_the_end_of_its_prefix(nats: NatsStack, service: str) -> None:
    """A second instance that believes in an older end of the prefix is refused, in our account and across the border."""
    bus = await bus_of(nats, service)
    writer = contract_of(service).writer
    tail = await append_many(bus, writer, 3)
    with pytest.raises(Fenced):
        await bus.append(alert(writer, 99, tail - 1), f"{writer}.>", {})
    last = await bus.last_under(f"{writer}.>")
    assert last is not None
    assert last.seq == tail
    assert await bus.entry_at(tail) is not None
    assert await bus.entry_at(tail + 1) is None
    await bus.close()


async def test_what_is_forbidden_is_refused_at_once(nats: NatsStack) -> None:
    """A service that says what is not its to say gets the server's words, not a timeout."""
    bus = await bus_of(nats, "ledger")
    with pytest.raises(BusError, match="permissions violation"):
        await bus.append(alert("risk", 0, 0), "risk.>", {})
    await bus.close()


async def test_every_message_is_read_once_in_order_through_small_batches(nats: NatsStack) -> None:
    """A pull that ends is followed by the next one without a gap, a repeat or a pause."""
    writer = await bus_of(nats, "risk-gate")
    await append_many(writer, "risk", 57)
    bus = await bus_of(nats, "notifier")
    pull = OrderedPull(bus, "notifier", 1, batch=10)
    assert await read(pull, 57) == list(range(1, 58))
    assert pull.resets == 1
    await writer.close()
    await bus.close()


async def test_reading_survives_a_killed_server(nats: NatsStack) -> None:
    """After kill -9 of nats-server the reader goes on at the first message it has not seen."""
    writer, bus = await bus_of(nats, "risk-gate"), await bus_of(nats, "notifier")
    tail = await append_many(writer, "risk", 20)
    pull = OrderedPull(bus, "notifier", 1)
    assert await read(pull, 20) == list(range(1, 21))
    nats.kill()
    await asyncio.sleep(0.1)
    await nats.start(provisioned=False)
    await writer.wait_connected()
    await append_many(writer, "risk", 5, tail, first=100)
    assert await read(pull, 5) == list(range(21, 26))
    await writer.close()
    await bus.close()


async def test_an_append_into_a_dying_server_is_unknown(nats: NatsStack) -> None:
    """No answer is no answer: the process must end and read what is true."""
    bus = await bus_of(nats, "risk-gate")
    tail = await append_many(bus, "risk", 1)
    nats.process.send_signal(signal.SIGSTOP)
    asking = asyncio.create_task(bus.append(alert("risk", 1, tail), "risk.>", {}))
    await asyncio.sleep(0.2)
    nats.kill()
    with pytest.raises(AppendUnknown):
        await asking
    await nats.start(provisioned=False)
    await bus.close()


READER = """
import asyncio, sys
from pathlib import Path
from libs.runtime.bus import Bus
from libs.runtime.nats_config import GUEST_API, connect_options
from libs.runtime.ordered_pull import OrderedPull

async def main(home, url):
    bus = await Bus.connect(connect_options(Path(home), "notifier", url), "TRADING_0001", api=GUEST_API)
    pull = OrderedPull(bus, "notifier", 1)
    while True:
        pulled = await pull.next()
        if pulled is not None:
            print(pulled.entry.seq, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_reader_takes_over_from_a_frozen_process(nats: NatsStack) -> None:
    """A frozen predecessor's outstanding pull swallows messages; its successor notices and reads them all the same."""
    writer = await bus_of(nats, "risk-gate")
    tail = await append_many(writer, "risk", 10)
    frozen = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READER, str(nats.home), nats.url, stdout=asyncio.subprocess.PIPE
    )
    assert frozen.stdout is not None
    for _ in range(10):
        await asyncio.wait_for(frozen.stdout.readline(), 20)
    frozen.send_signal(signal.SIGSTOP)
    bus = await bus_of(nats, "notifier")
    pull = OrderedPull(bus, "notifier", 6, heartbeat_s=0.2)
    assert await read(pull, 5) == [6, 7, 8, 9, 10]
    await append_many(writer, "risk", 10, tail, first=50)
    assert await read(pull, 10) == list(range(11, 21))
    frozen.kill()
    await frozen.wait()
    await writer.close()
    await bus.close()


async def test_an_unknown_durable_is_an_error_with_a_hint(nats: NatsStack) -> None:
    """Reading what was never provisioned says so, instead of waiting for ever."""
    bus = await Bus.connect(connect_options(nats.home, "admin", nats.url), TRADING)
    with pytest.raises(BusError, match="was it provisioned"):
        await OrderedPull(bus, "nobody", 1).next()
    await bus.close()


async def test_one_instance_holds_the_lease(nats: NatsStack) -> None:
    """A second instance waits; a restart of the same instance goes on at once; a loser is told."""
    bus = await bus_of(nats, "ledger")
    first, second = Lease(bus, "ledger", "a", 5.0), Lease(bus, "ledger", "b", 5.0)
    assert await first.acquire()
    assert not await second.acquire()
    assert not await second.is_held()
    await first.renew()
    again = Lease(bus, "ledger", "a", 5.0)
    assert await again.acquire()
    assert await again.is_held()
    await bus.put_lease("ledger", "b", again._revision)
    with pytest.raises(LeaseLost):
        await again.renew()
    await bus.close()


async def test_a_poison_message_is_copied_to_dead_once(nats: NatsStack) -> None:
    """Whoever meets it first copies it; the second attempt changes nothing."""
    bus = await bus_of(nats, "risk-gate")
    tail = await append_many(bus, "risk", 1)
    entry = await bus.entry_at(tail)
    assert entry is not None
    await bus.copy_to_dead(entry, "MALFORMED")
    await bus.copy_to_dead(entry, "MALFORMED")
    assert await nats.last_seq("DEAD") == 1
    await bus.close()
