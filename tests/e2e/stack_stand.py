"""`bulkhead up` in this process, its services in their own: a stack in any mode, what it shows, and what it has written."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from libs.common.codec import decode_from
from libs.common.messages import Message
from libs.runtime.adapter import LogEntry
from services.cli.observer import observing
from services.cli.place import find_place
from services.cli.stack import PORTS_TAKEN, Ports, StackSettings
from services.cli.supervisor import plan_of, up
from tests.nats_stack import free_block


class Stack:
    """A stack with only some of its services, as the environment tells them."""

    def __init__(self, home: Path, services: Container[str], **settings: Any):
        base = free_block(PORTS_TAKEN)
        self.settings = StackSettings(home=home, port_base=base, **settings)
        self.ports = Ports(base)
        self.screen = io.StringIO()
        plan = plan_of(self.settings, os.environ)
        plan = msgspec.structs.replace(plan, services=tuple(each for each in plan.services if each.name in services))
        self.task = asyncio.create_task(up(self.settings, plan=plan, out=Console(file=self.screen, width=400)))

    async def until(self, condition: Callable[[], bool], seconds: float = 40) -> None:
        """Return once `condition` holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                assert not self.task.done(), f"it ended: {self.task.result()}\n{self.screen.getvalue()}"
                await asyncio.sleep(0.05)

    def shows(self, text: str) -> bool:
        """Whether it has said so."""
        return text in self.screen.getvalue()

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        return await asyncio.wait_for(self.task, 20)

    async def stop(self) -> int:
        """Stop it as Ctrl-C does; its exit code."""
        os.kill(os.getpid(), signal.SIGTERM)
        return await self.ended()

    async def abandon(self) -> None:
        """Let nothing of it run on."""
        if not self.task.done():
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def log(self) -> list[LogEntry]:
        """What stands in the log now."""
        async with observing(find_place(self.settings.home)) as observer:
            size = await observer.size()
            return [entry async for entry in observer.entries(1, size.last_seq)]

    async def told(self) -> list[Message]:
        """Every event in the log now."""
        return [decode_from(entry.subject, entry.payload) for entry in await self.log()]
