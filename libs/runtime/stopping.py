"""Being told to stop, at any moment of a process: by SIGTERM or SIGINT, also before there is anything to finish."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Told to stop before the work had come to its end."""


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Call `stop` when the process is told to stop; within a running event loop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def stop_signal() -> asyncio.Event:
    """What is set when the process is told to stop; within a running event loop."""
    stopping = asyncio.Event()
    on_stop_signal(stopping.set)
    return stopping


async def unless(stopping: asyncio.Event, work: Awaitable[T]) -> T:
    """What `work` brings; it is cancelled when `stopping` comes first.

    Raises:
        Stopped: it did.
    """
    task, told = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Stopped
        return task.result()
    finally:
        await cancelled(task, told)


async def cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Return once all have ended. One cancellation is not always enough: a library may lose it (`asyncio.wait_for` does)."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)
