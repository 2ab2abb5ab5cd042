"""A toy service as a process of its own: `python -m tests.e2e.toy_process leaver`."""

from __future__ import annotations

import asyncio
import os
import sys

from libs.runtime import process
from tests.e2e import toy_services
from tests.e2e.live_services import Kind
from tests.nats_stack import NatsStack


async def start_toy(name: str, stack: NatsStack, instance: str = "local") -> asyncio.subprocess.Process:
    """Start one on `stack`; what it says is in `<instance>.log` of the stack's home."""
    env = {
        **os.environ,
        "BULKHEAD_HOME": str(stack.home),
        "BULKHEAD_NATS_URL": stack.url,
        "BULKHEAD_INSTANCE": instance,
        "BULKHEAD_HTTP_PORT": "0",
    }
    with (stack.home / f"{instance}.log").open("ab") as out:
        command = [sys.executable, "-m", "tests.e2e.toy_process", name]
        return await asyncio.create_subprocess_exec(*command, env=env, stdout=out, stderr=out)


if __name__ == "__main__":
    kind: Kind = getattr(toy_services, sys.argv[1].upper())
    process.run(kind.contract, kind.machine_class, kind.settings_class, adapter=kind.adapter)
