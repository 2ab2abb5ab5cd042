"""Having the log go on in another epoch: when that is due, and that the log and its backup know of it.

    backup up to now ─▶ close, make, open, seal (libs.runtime.rolling) ─▶ EpochBegan into the log ─▶ backup to behind the end of the old one

Trading does not stop, it stumbles: for some tenths of a second appends find nobody, then each service begins again from its snapshot in the new epoch.
Stops rest at the venue meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import EpochBegan
from libs.desk.commands import stamped
from libs.runtime.bus import Bus
from libs.runtime.bus_errors import BusError
from libs.runtime.nats_config import ADMIN_USER, API, GUEST_API, OBSERVER_USER
from libs.runtime.provision import roll_over
from libs.runtime.registry import contracts
from libs.runtime.streams import StreamLimits
from services.cli import command
from services.cli.backup.copying import back_up
from services.cli.exit_codes import Failure, failing_clearly
from services.cli.observer import connected
from services.cli.place import Place, find_place
from services.cli.stack import StackSettings

MB = 1_000_000
DAY_S = 86_400.0
LOOK_EVERY_S = 600.0


class EpochLine(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch of the log. `began_at` is when its first entry was stored (RFC 3339); `is_sealed`: nobody can change it any more."""

    name: str
    first_seq: int
    last_seq: int
    bytes: int
    began_at: str
    is_sealed: bool


class Rolled(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `seconds` is how long the bus took over it; `event` is EpochBegan; `backed_up_to` 0: there is no backup."""

    closed: str
    opened: str
    last_seq: int
    seconds: float
    event: int
    backed_up_to: int = 0


async def epochs(place: Place) -> list[EpochLine]:
    """Every epoch of the log, in order.

    Raises:
        Failure, KeysError, BusError
    """
    async with connected(place, OBSERVER_USER, GUEST_API) as bus:
        return await _lines(bus)


def is_due(newest: EpochLine, *, mb_max: float, days_max: float, now: float) -> bool:
    """Whether an epoch is as large or as old (`now`: wall time, s) as one may become; 0: no bound."""
    if newest.last_seq < max(newest.first_seq, 1):
        return False
    is_large = mb_max > 0 and newest.bytes >= mb_max * MB
    return is_large or (days_max > 0 and now - _seconds(newest.began_at) >= days_max * DAY_S)


async def roll(place: Place, folder: Path | None, replicas: int) -> Rolled:
    """Have the log go on in another epoch. With the book's backup in `folder`, that holds the old epoch to its end when this returns.

    Raises:
        Failure, KeysError, ProvisionError, NotSaid: what was begun and not ended is ended by saying it again, or by the next start.
    """
    if folder is not None:
        await back_up(place, folder)
    began = time.monotonic()
    async with connected(place, ADMIN_USER, API) as bus:
        await roll_over(bus.client, contracts(), StreamLimits(replicas=replicas))
        *_, old, new = await _lines(bus)
    seconds = time.monotonic() - began

    def message(writer: str, tail: int) -> EpochBegan:
        fact = EpochBegan(epoch=new.name, closed=old.name, last_seq=old.last_seq, author=command.operator_name())
        return stamped(fact, writer, derive_id("epoch", new.name, old.last_seq), now)

    async with command.speaking(place) as (bus, now):
        event, _ = await command.append(bus, "the new epoch", message)
    held = 0 if folder is None else (await back_up(place, folder)).last_seq
    return Rolled(
        closed=old.name,
        opened=new.name,
        last_seq=old.last_seq,
        seconds=round(seconds, 3),
        event=event,
        backed_up_to=held,
    )


async def keep_rolling(settings: StackSettings, say: Callable[[str], None]) -> None:
    """For ever: roll the log of a running stack over whenever that is due. One that fails is told, and tried again at the next look."""
    mb_max, days_max = settings.epoch_mb_max, settings.epoch_days_max
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            with failing_clearly():
                place = find_place(settings.home)
                if is_due((await epochs(place))[-1], mb_max=mb_max, days_max=days_max, now=time.time()):
                    done = await roll(place, settings.backup_folder, replicas=1)
                    say(f"the log goes on in {done.opened}: {done.closed} is sealed, up to {done.last_seq}")
        except Failure as failure:
            say(f"the log could not go on in another epoch: {failure.text}")


async def _lines(bus: Bus) -> list[EpochLine]:
    return [await _line(bus, epoch.name) for epoch in await bus.epochs.known()]


async def _line(bus: Bus, name: str) -> EpochLine:
    answer = await bus.api(f"STREAM.INFO.{name}")
    if "error" in answer:
        raise BusError(f"cannot read the log {name}: {answer['error']['description']}")
    state = answer["state"]
    return EpochLine(
        name=name,
        first_seq=max(int(state["first_seq"]), 1),
        last_seq=int(state["last_seq"]),
        bytes=int(state["bytes"]),
        began_at=str(state["first_ts"]),
        is_sealed=bool(answer["config"].get("sealed")),
    )


def _seconds(text: str) -> float:
    """RFC 3339 as wall time (s); the server writes nanoseconds, which `datetime` does not read."""
    return datetime.fromisoformat(text.partition(".")[0].removesuffix("Z") + "+00:00").timestamp()
