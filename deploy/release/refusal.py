"""The way back where the older release cannot read what the newer one has written: it refuses, and the book is restored from the copy before the change.

The release to come is played by what it would leave: an event of a type that this code does not know, and the note in the state folder of who wrote it.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from nats.aio.client import Client

from deploy.release.report import Report
from deploy.release.running import Stack, wait_until
from libs.common.codec import encode
from libs.common.messages import TradingStateChanged
from libs.runtime.nats_config import ADMIN_USER, connect_options
from services.cli.backup.holding import own_bus
from services.cli.exit_codes import CONFIG
from services.cli.stretches import Stretch, ours, read_stretches, write_stretches

NEWER = "trading_state_changed.v9"
CLEAN_S_MAX = 60.0


def rehearse(report: Report, stack: Stack, scratch: Path) -> None:
    """With a stack of this code that is down, and the backup it has made.

    Raises:
        DrillFailed
    """
    report.say("\na log that this release cannot read: it holds a halt in words of a release to come")
    home, backup = stack.home, scratch / "backup"
    (change,) = (each for each in read_stretches(home) if each.tree == ours(0).tree)
    asyncio.run(_append(home))
    newer = Stretch(since=change.since, version="9.9.9", tree="0" * 16, types=(*change.types, NEWER))
    write_stretches(home, [*read_stretches(home), newer])
    code, words = report.timed("this release is started, and refuses", stack.refused)
    report.check(
        f"exit code {code}: the log holds events that this code does not know", code == CONFIG and NEWER in words, words
    )
    back_to = change.since - 1
    again = stack.over(scratch / "restored")
    report.timed(
        f"bulkhead restore, to the event before the change ({back_to})",
        lambda: again.ask("restore", str(backup), "--to-event", str(back_to)),
    )
    shutil.copytree(home / "exchange_sim", again.home / "exchange_sim")  # the venue has not forgotten
    report.step(again.start(), "the restored book up, all services live")
    report.check("it wakes halted", again.ask("status")["trading_state"] == "HALTED")
    report.timed(
        "the venue's balances accepted",
        lambda: again.ask("accept-balances", "--reason", "restored to before the change"),
    )
    report.step(wait_until(lambda: again.ask("status")["reconciled"], CLEAN_S_MAX), "books and venue agree")
    report.timed("resume", lambda: again.ask("resume", "--reason", "books and venue agree"))
    report.check("it trades again", again.ask("status")["trading_state"] == "ACTIVE")
    report.step(again.stop(), "stopped")


async def _append(home: Path) -> None:
    """On the gate's subject, as a later gate would say it."""
    halt = TradingStateChanged(
        state="HALTED", previous="ACTIVE", reason="said anew", author="ops", producer="risk", id="1" * 32
    )
    payload = encode(halt).replace(b"trading_state_changed.v1", NEWER.encode())
    client = Client()
    async with own_bus(home) as place:
        await client.connect(**connect_options(home, ADMIN_USER, place.nats_url))
        await client.request("risk.state", payload, timeout=5)
        await client.close()
