"""One writer of an archive at a time, and a bus of our own where none runs.

Whoever adds to an archive holds a lock on a file in it, which the kernel lets go of however its holder dies. Who needs the log of a book that is
not up, or an empty bus to fill, starts nats-server himself, on free ports of the loopback, and ends it when he is done.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from libs.runtime import nats_server
from libs.runtime.registry import contracts
from libs.runtime.streams import TRADING
from services.cli.backup.archive import LOCK
from services.cli.claiming import home_lock
from services.cli.exit_codes import CANNOT_WRITE, NOT_YET, UNAVAILABLE, Failure
from services.cli.place import Place
from services.cli.stack_keys import StackError

STOP_S_MAX = 30.0
TRY_EVERY_S = 0.05
TRIES_MAX = 100


@asynccontextmanager
async def holding(folder: Path) -> AsyncIterator[None]:
    """The archive in `folder`, which is made if it is not there, for us alone; whoever is about to let go of it is waited for.

    Raises:
        Failure: somebody else adds to it, or it cannot be written.
    """
    descriptor = await asyncio.to_thread(_lock_file, folder)
    try:
        await _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock_file(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        cure = "name a folder that can be written, with --to or BULKHEAD_BACKUP_FOLDER"
        raise Failure(CANNOT_WRITE, f"cannot write into {folder}: {error.strerror}", cure) from error


async def _lock(descriptor: int, folder: Path) -> None:
    for _ in range(TRIES_MAX):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            await asyncio.sleep(TRY_EVERY_S)
    text = f"another backup is being written into {folder}"
    raise Failure(NOT_YET, text, "wait for it, or end it; two books want two folders")


@asynccontextmanager
async def own_bus(home: Path, *, is_bulk: bool = False) -> AsyncIterator[Place]:
    """nats-server over the state folder `home`, which nobody else uses meanwhile, and where to find it.

    `is_bulk`: it need not have what it acknowledged on disk before it has ended; then it has (`_to_disk`).

    Raises:
        Failure: a stack runs there. NatsServerError: it does not start.
    """
    try:
        with home_lock(home):
            port, monitor_port = _free_ports()
            process = nats_server.start(home, contracts(), port, monitor_port, is_passing=True, is_bulk=is_bulk)
            try:
                await nats_server.wait_healthy(
                    monitor_port,
                    ended=lambda: process.poll() is not None,
                    last_words=lambda: nats_server.log_tail(home),
                )
                yield Place(home=home, nats_url=f"nats://127.0.0.1:{port}", stream=TRADING)
            finally:
                await _end(process)
                (home / "nats" / nats_server.PASSING_CONFIG).unlink(missing_ok=True)
                if is_bulk:
                    await asyncio.to_thread(_to_disk, home)
    except StackError as error:
        raise Failure(UNAVAILABLE, str(error), "stop that one, or name another state folder with --home") from error


async def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.to_thread(process.wait, STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _to_disk(folder: Path) -> None:
    """Everything under `folder` is on disk when this returns, whoever wrote it."""
    for path in (folder, *folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
