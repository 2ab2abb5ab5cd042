"""Binance's public sockets, read natively: the fast reader behind the port in reader.py.

Each link carries up to a hundred instruments on one connection, and a `_Strand` keeps it:

    connect ── subscribe ── all agreed ─▶ connected(epoch + 1) ── ended ─▶ back-off 0.05 s, doubling to 5 s ─▶ connect …
                                             │ due (23 h, or the venue says it will shut down)
                                             ▼
                     second connection, subscribed, its frames held ── overlap ─▶ take over, no new epoch

During the overlap only the old connection is heard. Then the old one is muted, in the same instant what the second one has held is
told from where the old one came to, and the old one is closed. So every trade is told once and in order, and since both had
all streams for a while and their trade ids meet, nothing is missing. If the old one ends before, that cannot be said: a new epoch.

The back-off begins anew once a connection has lasted a second after the venue agreed.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from picows import WSError
from picows.url import parse_url

from services.market_feed.adapters.binance_frames import BinanceFrames, streams_of
from services.market_feed.adapters.binance_socket import (
    RETRY_S,
    RETRY_S_MAX,
    BinanceSocket,
    Patience,
    SocketFailed,
)
from services.market_feed.adapters.reader import Link, Now, Sink

STREAMS_MAX = 200
"""Of one connection; Binance allows 1,024."""

OVERLAPS_MAX = 10
"""A connection that after so many overlaps is still behind the other one's beginning is not waited for."""

LASTED_S = 1.0
TAKE_OVER_S = 2.0
"""After so long a connection is past what the one before it had told."""


class BinanceReader:
    """Trades and quotes of `instruments` at the venue at `base_url` ("https://stream.binance.com:9443").

    Raises:
        ValueError: an address that is none, or no instrument.
    """

    def __init__(
        self,
        base_url: str,
        venue: str,
        instruments: tuple[str, ...],
        sink: Sink,
        now: Now,
        logger: Any,
        *,
        patience: Patience | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ):
        if not instruments:
            raise ValueError("a reader without instruments reads nothing: name at least one")
        url = _market_url(base_url)
        self.venue = venue
        self.ping_s = (patience or Patience()).ping_s
        size = STREAMS_MAX // 2
        self._strands = [
            _Strand(
                url,
                Link(
                    name=f"market {start // size}",
                    instruments=instruments[start : start + size],
                    has_trades=True,
                    has_quotes=True,
                ),
                venue,
                sink,
                now,
                logger,
                patience or Patience(),
                ssl_context,
            )
            for start in range(0, len(instruments), size)
        ]
        self._links = [strand.link for strand in self._strands]
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False

    @property
    def links(self) -> Sequence[Link]:
        """See the port."""
        for strand in self._strands:
            strand.refresh()
        return self._links

    async def run(self) -> None:
        """See the port. Returns after `close`."""
        if self._is_closed:
            return
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks = [group.create_task(strand.keep(), name=strand.link.name) for strand in self._strands]
        finally:
            await self._hang_up()

    def renew(self, link: Link, reason: str) -> None:
        """See the port."""
        for strand in self._strands:
            if strand.link is link:
                strand.renew(reason)

    async def close(self) -> None:
        """See the port."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await self._hang_up()

    async def _hang_up(self) -> None:
        await asyncio.gather(*(strand.hang_up() for strand in self._strands))


def _market_url(base_url: str) -> str:
    scheme, _, place = base_url.rstrip("/").partition("://")
    url = f"{scheme.replace('http', 'ws')}://{place}/ws"
    try:
        parse_url(url).host.encode("idna")
    except (WSError, ValueError) as error:
        raise ValueError(f"the venue's address must be like https://host:port, not {base_url!r} ({error})") from None
    return url


class _Strand:
    """One link, kept up."""

    def __init__(
        self,
        url: str,
        link: Link,
        venue: str,
        sink: Sink,
        now: Now,
        logger: Any,
        patience: Patience,
        ssl_context: ssl.SSLContext | None,
    ):
        self.link = link
        self._url = url
        self._sink = sink
        self._now = now
        self._logger = logger
        self._patience = patience
        self._ssl_context = ssl_context
        self._frames = BinanceFrames(
            venue,
            link.instruments,
            sink,
            on_answer=lambda said: any(each.take_answer(said) for each in self._sockets),
            on_leaving=self._leave,
            on_liar=lambda instrument: self._give_up(f"OLD_QUOTES {instrument}"),
        )
        self._numbers = itertools.count(1)
        self._sockets: list[BinanceSocket] = []
        self._current: BinanceSocket | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._news = asyncio.Event()
        self._signs = 0
        self._pause_s = RETRY_S
        self._may_rotate_at = 0.0
        self._is_due = self._is_renewed = False

    def refresh(self) -> None:
        """Bring the link up to date."""
        self.link.frames = self._frames.heard
        self.link.signs = self._signs + sum(each.signs for each in self._sockets)

    def renew(self, reason: str) -> None:
        """Give up what there is of connections, and connect at once."""
        self._is_renewed = bool(self._sockets)  # else one is being made, or the venue asked us to wait
        self._give_up(reason)

    async def keep(self) -> None:
        """Connect, again and again."""
        while True:
            self._frames.forget()
            socket = self._make()
            asked_s = 0.0
            try:
                await socket.open()
                await socket.subscribe()
            except SocketFailed as failure:
                asked_s, reason = failure.retry_after_s, str(failure)
            else:
                reason = await self._watch(socket)
            for each in list(self._sockets):
                self._let_go(each)
            await self._back_off(reason, asked_s)

    async def hang_up(self) -> None:
        """Say goodbye on every connection."""
        self._current, self.link.is_up = None, False
        for timer in self._timers.values():
            timer.cancel()
        await asyncio.gather(*(each.hang_up() for each in self._sockets))
        for each in list(self._sockets):
            self._let_go(each)

    # --- one connection after the other --------------------------------------------------------------------------

    def _make(self, *, is_held: bool = False) -> BinanceSocket:
        socket = BinanceSocket(
            self._url,
            streams_of(self.link.instruments),
            self._patience,
            self._numbers,
            now=self._now,
            take=self._frames.take,
            refuse=self._frames.refuse,
            ssl_context=self._ssl_context,
            is_held=is_held,
        )
        self._sockets.append(socket)
        return socket

    def _begin(self, socket: BinanceSocket, *, is_new_epoch: bool) -> None:
        """From now on this connection is the one that is heard."""
        self._current = socket
        socket.ended.add_done_callback(lambda _: self._hear_end(socket))
        self._may_rotate_at = asyncio.get_running_loop().time() + self._patience.rotate_gap_s
        due_s = self._patience.rotate_gap_s if self._is_due else self._patience.rotate_s
        self._is_due = False
        self._after("due", due_s, self._become_due)
        self._after("lasted", LASTED_S, self._forget_pause)
        self.link.is_up = True
        if is_new_epoch:
            self.link.epoch += 1
            self.refresh()
            self._sink.connected(self.link)

    async def _watch(self, socket: BinanceSocket) -> str:
        """Until the connection has ended that is in use by then; why."""
        self._is_due = False
        self._begin(socket, is_new_epoch=True)
        while socket.is_up:
            if self._is_due:
                socket = await self._rotate(socket)
            else:
                await self._news.wait()
                self._news.clear()
        for timer in self._timers.values():
            timer.cancel()
        return socket.ended.result()

    async def _rotate(self, old: BinanceSocket) -> BinanceSocket:
        """Let another connection take over; which one is in use then."""
        self._is_due = False
        new = self._make(is_held=True)
        try:
            await new.open()
            await new.subscribe()
            is_clean = await self._overlap(old, new)
        except SocketFailed as failure:
            self._let_go(new)
            self._logger.warning("rotation_failed", socket=self.link.name, reason=str(failure))
            pause_s = max(RETRY_S_MAX, failure.retry_after_s)
            self._may_rotate_at = asyncio.get_running_loop().time() + pause_s
            self._after("due", pause_s, self._become_due)
            return old
        old.mute()
        self._frames.take_over()
        self._after("taken over", TAKE_OVER_S, self._frames.end_take_over)
        self._begin(new, is_new_epoch=not is_clean)
        new.release()
        self._logger.info("socket_rotated", socket=self.link.name, clean=is_clean)
        self._farewells.add(task := asyncio.create_task(self._part(old)))
        task.add_done_callback(self._farewells.discard)
        return new

    async def _overlap(self, old: BinanceSocket, new: BinanceSocket) -> bool:
        """Let both connections tell for a while; whether nothing can be missing between them."""
        for _ in range(OVERLAPS_MAX):
            await asyncio.wait(
                {old.ended, new.ended}, timeout=self._patience.overlap_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not new.is_up:
                raise SocketFailed(new.ended.result())
            if not old.is_up:
                return False
            if self._frames.meets(new.held):
                return True
        return False

    async def _part(self, old: BinanceSocket) -> None:
        await old.hang_up()
        self._let_go(old)

    def _let_go(self, socket: BinanceSocket) -> None:
        socket.abort()
        if socket in self._sockets:
            self._sockets.remove(socket)
            self._signs += socket.signs

    def _give_up(self, reason: str) -> None:
        self._logger.warning("socket_renewed", socket=self.link.name, reason=reason)
        for each in self._sockets:
            each.abort(reason)

    async def _back_off(self, reason: str, asked_s: float) -> None:
        pause_s = max(asked_s, 0.0 if self._is_renewed else self._pause_s)
        self._logger.warning("socket_lost", socket=self.link.name, reason=reason, retry_s=pause_s)
        if not self._is_renewed:
            self._pause_s = min(self._pause_s * 2, RETRY_S_MAX)
        self._is_renewed = False
        await asyncio.sleep(pause_s)

    # --- what happens meanwhile ----------------------------------------------------------------------------------

    def _hear_end(self, socket: BinanceSocket) -> None:
        if socket is self._current:
            self.link.is_up = False
            self._news.set()

    def _leave(self) -> None:
        """The venue has announced that it will end the connection."""
        wait_s = self._may_rotate_at - asyncio.get_running_loop().time()
        self._after("due", max(wait_s, 0.0), self._become_due)

    def _become_due(self) -> None:
        self._is_due = True
        self._news.set()

    def _forget_pause(self) -> None:
        self._pause_s = RETRY_S

    def _after(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Call later; what was to be called later under this name is not."""
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, call)
