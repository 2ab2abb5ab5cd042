"""What `bulkhead doctor` says of the console, before and while a stack runs."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from libs.runtime.registry import settings_of
from services.cli.doctor import Finding
from services.cli.doctor_console import check_console
from services.cli.place import Place
from services.cli.stack import Ports
from tests.nats_stack import free_ports


class Busy(Ports, frozen=True):
    """The ports of a stack where people look for the console at a port of somebody else."""

    @property
    def gateway(self) -> int:
        """Somebody else's."""
        return 1


def gateway(**fields: Any) -> Any:
    """The gateway's settings."""
    return settings_of("gateway")(**fields)


def place(home: Path, services: tuple[str, ...] = ()) -> Place:
    """A state folder, whose stack runs these services."""
    pid = os.getpid() if services else 0
    return Place(home=home, nats_url="", stream="", supervisor_pid=pid, services=dict.fromkeys(services, ""))


async def found(
    home: Path,
    settings: Any,
    *runs: str,
    ports: Ports = Ports(24_000),  # noqa: B008  frozen
) -> Finding:
    """What the check finds; a cure stands there exactly if something is to be cured."""
    finding = await check_console(settings, place(home, runs), ports)
    assert (finding.level == "OK") == (not finding.cure)
    return finding


async def test_before_the_start_its_port_must_be_to_be_had(tmp_path: Path) -> None:
    """Free, taken, on another machine, chosen by itself, or not wanted at all."""
    (port,) = free_ports(1)
    free = await found(tmp_path, gateway(gateway_port=port))
    assert (free.level, free.text) == ("OK", f"http://127.0.0.1:{port} is free")
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        taken = await found(tmp_path, gateway(gateway_port=theirs.getsockname()[1]))
        assert (taken.level, "in use" in taken.text) == ("FAIL", True)
        assert "BULKHEAD_GATEWAY_PORT" in taken.cure
    away = await found(tmp_path, gateway(gateway_host="192.0.2.1", gateway_port=port, gateway_plain_http=True))
    assert (away.level, "BULKHEAD_GATEWAY_HOST" in away.cure) == ("FAIL", True)
    assert (await found(tmp_path, gateway(gateway_port=0))).level == "OK"
    assert "not wanted" in (await found(tmp_path, None)).text


async def test_a_console_that_moves_aside_is_told(tmp_path: Path) -> None:
    """It will work, but not where people look for it."""
    (port,) = free_ports(1)
    ports = Busy(port - (Ports(0).beside_gateway))
    moved = await found(tmp_path, gateway(gateway_port=port), ports=ports)
    assert (moved.level, moved.text.endswith(f"it will be at http://127.0.0.1:{port}")) == ("WARN", True)


@asynccontextmanager
async def answering(body: dict[str, Any]) -> AsyncIterator[int]:
    """Somebody who answers /livez so; his port."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_get("/livez", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def test_of_a_running_stack_it_must_answer(tmp_path: Path) -> None:
    """Where its own gateway has written down that it listens, whatever the settings of a new start would be."""
    settings, file = gateway(gateway_port=free_ports(1)[0]), tmp_path / "gateway" / "port"
    assert (await found(tmp_path, settings, "ledger")).text == "the stack that runs has none"
    silent = await found(tmp_path, settings, "gateway")
    assert (silent.level, silent.text) == ("FAIL", "has not said where it listens")
    file.parent.mkdir()
    async with answering({"alive": True}) as port:
        file.write_text(f"{port}\n")
        well = await found(tmp_path, settings, "gateway")
        assert (well.level, well.text) == ("OK", f"answers at http://127.0.0.1:{port}")
    gone = await found(tmp_path, settings, "gateway")
    assert (gone.level, "does not answer" in gone.text) == ("FAIL", True)
    async with answering({"hello": "world"}) as port:
        file.write_text(f"{port}\n")
        other = await found(tmp_path, settings, "gateway")
        assert (other.level, "somebody else answers" in other.text) == ("FAIL", True)
