"""What the services say of themselves on their health pages, and whose work does not get on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import msgspec

from libs.runtime.readiness import Readiness

PROBE_S_MAX = 2.0
OUTBOX_FEW = 10
"""So many events unwritten are usual for some moments after a restart."""


class ServiceLine(msgspec.Struct, kw_only=True):
    """One service. `up`: its health page answers. `phase`: live, or in words what it waits for. `pid` 0: not known here."""

    name: str
    url: str
    up: bool
    ready: bool
    phase: str
    reasons: list[str] = []
    lag: int = 0
    processed_seq: int = 0
    outbox: int = 0
    pending_requests: int = 0
    quiescent: bool = False
    code_version: str = ""
    starts: int = 0
    pid: int = 0


async def probe(services: Mapping[str, str]) -> dict[str, ServiceLine]:
    """What each service's `/readyz` says, all asked at once; `services` are health pages' roots by name."""
    timeout = aiohttp.ClientTimeout(total=PROBE_S_MAX)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        lines = await asyncio.gather(*(_ask(session, name, url) for name, url in services.items()))
    return {line.name: line for line in lines}


def is_busy(line: ServiceLine) -> bool:
    """Whether it works and has work left over."""
    return line.ready and (line.outbox > 0 or not line.quiescent)


def work_left(before: dict[str, ServiceLine], after: dict[str, ServiceLine]) -> tuple[list[str], list[str]]:
    """Whose work has stayed from one look to the next, in words: those who catch up, and those who do not get on."""
    catching_up, stuck = [], []
    for name, line in after.items():
        if not (is_busy(line) and is_busy(before[name])):
            continue
        moved = line.processed_seq != before[name].processed_seq or line.outbox < before[name].outbox
        if line.outbox == 0 and moved:
            continue  # no more than at work
        work = f"{line.outbox} events to write, {line.lag} to read, {line.pending_requests} requests under way"
        if moved or line.outbox <= OUTBOX_FEW:
            catching_up.append(f"{name}: {work}")
        else:
            stuck.append(f"{name} does not get on: {work}")
    return catching_up, stuck


async def _ask(session: aiohttp.ClientSession, name: str, url: str) -> ServiceLine:
    try:
        async with session.get(f"{url}/readyz") as answer:
            said = msgspec.json.decode(await answer.read(), type=Readiness)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        phase = f"does not answer at {url} ({type(error).__name__})"
        return ServiceLine(name=name, url=url, up=False, ready=False, phase=phase, reasons=[phase])
    except msgspec.MsgspecError:
        phase = f"somebody else answers at {url}"
        return ServiceLine(name=name, url=url, up=False, ready=False, phase=phase, reasons=[phase])
    return ServiceLine(
        name=name,
        url=url,
        up=True,
        phase="live" if said.ready else ", ".join(said.reasons) or "not ready",
        **msgspec.structs.asdict(said),
    )
