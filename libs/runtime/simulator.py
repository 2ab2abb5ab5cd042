"""A stand-in for somebody else's server as a process: log, signals, and a clear line when it cannot be. It has no bus and no contract."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog
import uvloop

from libs.runtime.logs import configure
from libs.runtime.settings import EX_CONFIG, ServiceSettings
from libs.runtime.stopping import stop_signal

EX_USAGE = 2

_log = structlog.get_logger(__name__)


class Server(Protocol):
    """What others connect to."""

    @property
    def url(self) -> str:
        """Where, once it has started."""

    async def start(self) -> int:
        """Listen; the port. Raises OSError: it is not ours to use."""

    async def stop(self) -> None:
        """Close every connection."""


def simulate(
    name: str,
    settings: ServiceSettings,
    work: Callable[[asyncio.Event], Awaitable[None]],
    refusals: tuple[type[Exception], ...] = (OSError,),
) -> None:
    """Do the work of the simulator `name`, which ends when SIGTERM or SIGINT sets its event; one of `refusals` is exit code 78 with a clear line."""
    configure(name.replace("_", "-"), settings.log_level)

    async def live() -> None:
        await work(stop_signal())

    try:
        uvloop.run(live())
    except refusals as error:
        print(f"{name} refuses to start: {error}", file=sys.stderr)
        raise SystemExit(EX_CONFIG) from None


async def serve(
    server: Server, folder: Path, stopping: asyncio.Event, opened: Callable[[], None] | None = None
) -> None:
    """Let `server` answer until `stopping`; where it listens is written to `folder`, and what `opened` does comes behind that."""
    port = await server.start()
    _write_down(folder, port)
    if opened is not None:
        opened()
    _log.info("simulator_open", url=server.url)
    try:
        await stopping.wait()
    finally:
        await server.stop()


def _write_down(folder: Path, port: int) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "port").write_text(f"{port}\n")


def take_no_words(name: str, words: Sequence[str], variables: str) -> None:
    """Exit code 2 for `words` on the command line, with the `variables` that it is told by instead."""
    if words:
        print(f"{name} takes no arguments, got {' '.join(words)}; it is told by {variables}", file=sys.stderr)
        raise SystemExit(EX_USAGE)
