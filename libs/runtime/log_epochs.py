"""Which epochs the log has, as one connection knows them: asked of the server once, and again by whoever stands at the log's end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from libs.runtime.bus_errors import BusError, EpochOver
from libs.runtime.epochs import Epoch, chain, is_epoch_of, is_log

LOOK_EVERY_S = 2.0
"""So often at most a reader at the end of the log asks whether it goes on in another epoch."""

Api = Callable[..., Awaitable[dict[str, Any]]]


class LogEpochs:
    """The epochs of the log `stream` (the name of its first). A stream that is no log is its own only one.

    Raises, wherever it has to ask: BusError, when nobody says.
    """

    def __init__(self, stream: str, api: Api):
        self._stream = stream
        self._api = api
        self._known: tuple[Epoch, ...] = ()
        self._looked_at = 0.0
        self._is_settled = False

    async def known(self) -> tuple[Epoch, ...]:
        """In order; at least one."""
        if not self._known:
            self._known = await self._found()
        return self._known

    @property
    def newest(self) -> Epoch | None:
        """The newest that is known now; None before anybody has asked."""
        return self._known[-1] if self._known else None

    async def settle(self) -> None:
        """From now on this connection lives in the epoch that is the newest now: who remembers where his prefix ends may not take that over into the
        next epoch, where another may have spoken for him before. What asks for more raises `EpochOver` once there is one.
        """
        self._known = await self._found()
        self._is_settled = True

    def forget(self) -> None:
        """What was known has turned out to be old."""
        if not self._is_settled:
            self._known = ()

    async def look_for_new(self) -> bool:
        """Ask, now and then, whether the log goes on in an epoch that is not known yet; if so it is known from now on.

        Raises:
            EpochOver: it does, and we are settled.
        """
        if not is_log(self._stream) or time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return False
        known = await self.known()
        found = await self._found()
        if found[-1].name == known[-1].name:
            return False
        if self._is_settled:
            raise EpochOver(f"the log goes on in {found[-1].name}")
        self._known = found
        return True

    async def _found(self) -> tuple[Epoch, ...]:
        if not is_log(self._stream):
            return (Epoch(self._stream, 1),)
        self._looked_at = time.monotonic()
        answer = await self._api("STREAM.NAMES")
        if "error" in answer:
            raise BusError(f"cannot list the streams of the bus: {answer['error']['description']}")
        known = {epoch.name: epoch for epoch in self._known}
        names = [name for name in answer.get("streams") or () if is_epoch_of(name, self._stream)]
        found = [known.get(name) or await self._epoch_called(name) for name in names]
        return chain(each for each in found if each is not None) or (Epoch(self._stream, 1),)

    async def _epoch_called(self, name: str) -> Epoch | None:
        """None for one that is still being made: its durables are not there yet."""
        answer = await _info_of(self._api, name)
        if answer["config"].get("subjects") == [f"opening.{name}.>"]:
            return None
        return Epoch(name, max(int(answer["state"]["first_seq"]), 1))


async def state_of(api: Api, name: str) -> dict[str, Any]:
    """What a stream holds, as the server says it.

    Raises:
        BusError: it does not, or there is no such stream.
    """
    state: dict[str, Any] = (await _info_of(api, name))["state"]
    return state


async def _info_of(api: Api, name: str) -> dict[str, Any]:
    answer = await api(f"STREAM.INFO.{name}")
    if "error" in answer:
        raise BusError(f"cannot read the log {name}: {answer['error']['description']}")
    return answer
