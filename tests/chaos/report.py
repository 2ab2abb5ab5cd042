"""Reading a stack at rest: the venue's account with prices, and the replay proof in a fresh process."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from decimal import Decimal
from typing import Any

from tests.chaos.stack import ChaosStack

NOTIONAL_MIN = Decimal(5)


async def account_of(stack: ChaosStack) -> dict[str, Any]:
    """The venue's account, and the bid at which each position could be sold (`px`)."""
    account: dict[str, Any] = await stack.venue("account")
    state = await stack.venue("state")
    account["px"] = {name: quote["bid"] for name, quote in state["instruments"].items()}
    return account


async def replayed(stack: ChaosStack, hash_seed: str) -> dict[str, Any]:
    """What `bulkhead replay --verify` says of the log, in a process with this PYTHONHASHSEED."""
    dump = stack.home / "log.jsonl"
    with dump.open("w") as file:
        for entry in stack.entries:
            payload = base64.b64encode(entry.payload).decode()
            file.write(json.dumps({"seq": entry.seq, "subject": entry.subject, "payload": payload}) + "\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.replay_dump",
        str(dump),
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    found: dict[str, Any] = json.loads(out)
    return found
