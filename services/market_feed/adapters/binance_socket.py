"""One connection to Binance's market streams: shake hands, subscribe in band, ping, say goodbye.

Frames come in picows' callback, synchronously, and go to `take` as they are. Nothing a venue sends can end the loop: what is no text
frame is refused, what breaks the protocol ends this connection, and whoever opened it hears why from `ended`. An exception out of
`take` is a defect of ours and comes out of `ended` as it is.

Binance allows five messages a second to it, pings and pongs included: we send at most two subscriptions a second.

Trades and quotes may be held instead of taken: then they wait, with the instant of their arrival, until `release`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSInvalidStatusError,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    ws_connect,
)
from picows.url import WSParsedURL

from services.market_feed.adapters.binance_frames import is_market
from services.market_feed.adapters.reader import Now

BATCH_STREAMS = 100
SUBSCRIBE_GAP_S = 0.5
RETRY_S = 0.05
RETRY_S_MAX = 5.0
RETRY_AFTER_S_MAX = 3 * 86_400.0
"""Binance's longest ban."""

PAYLOAD_BYTES_MAX = 1 << 20
"""A longer message ends the connection."""

BACKLOG_BYTES_MAX = 256 * 1024
"""Of the kernel, which doubles it. picows reads all there is and tells it in one go, so this bounds how long nobody else
has a turn; what is more waits at the venue."""

HELD_MAX = 200_000
GOODBYE_S = 1.0

_BUSY = (418, 429, 503)
_TEXT = WSMsgType.TEXT
_QUIET = logging.Logger("picows", logging.CRITICAL + 1)  # whatever it would say comes out of `ended`, and is told there


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long a reader waits for what."""

    ping_s: float = 5.0
    connect_s: float = 5.0
    handshake_s: float = 5.0
    answer_s: float = 10.0
    rotate_s: float = 23 * 3600.0
    rotate_gap_s: float = 30.0
    overlap_s: float = 1.0


class SocketFailed(Exception):
    """The connection did not come about, or did not last; the text says why, `retry_after_s` what the venue asked for."""

    def __init__(self, reason: str, retry_after_s: float = 0.0):
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class BinanceSocket(WSListener):  # type: ignore[misc]
    """One connection, from `open` to `ended`."""

    def __init__(
        self,
        url: str,
        streams: list[str],
        patience: Patience,
        numbers: Iterator[int],
        *,
        now: Now,
        take: Callable[[bytes, int], None],
        refuse: Callable[[str, Any], None],
        ssl_context: ssl.SSLContext | None = None,
        is_held: bool = False,
    ):
        self.signs = 0
        self.ended: asyncio.Task[str]
        self._url = url
        self._streams = streams
        self._patience = patience
        self._numbers = numbers
        self._now = now
        self._final_take = take
        self._take = self._hold if is_held else take
        self._refuse = refuse
        self._ssl_context = ssl_context
        self._held: list[tuple[bytes, int]] = []
        self._parts = bytearray()
        self._raw: socket.socket | None = None
        self._transport: WSTransport | None = None
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pinging: asyncio.TimerHandle | None = None
        self._is_open = False
        self._why = ""

    # --- its life ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Shake hands.

        Raises:
            SocketFailed: nobody there, not in time, or the venue refused.
        """
        handshake_s = self._patience.handshake_s
        secure = {"ssl_handshake_timeout": handshake_s} if self._url.startswith("wss:") else {}
        try:
            self._transport, _ = await ws_connect(
                lambda: self,
                self._url,
                ssl_context=self._ssl_context,
                socket_factory=self._connected,
                websocket_handshake_timeout=handshake_s,
                logger_name=_QUIET,
                enable_auto_pong=False,
                max_frame_size=PAYLOAD_BYTES_MAX,
                max_redirects=0,
                **secure,
            )
        except WSInvalidStatusError as error:
            status = int(error.response.status)
            asked_s = _seconds(error.response.headers.get("Retry-After")) if status in _BUSY else 0.0
            raise SocketFailed(f"HTTP {status}", asked_s) from None
        except (OSError, TimeoutError, WSError) as error:
            raise SocketFailed(f"{type(error).__name__}: {error}"[:200]) from None
        finally:
            if self._transport is None:
                self.abort()
        self._is_open = True
        self.ended = asyncio.create_task(self._until_end(self._transport), name="market socket")
        self._pinging = asyncio.get_running_loop().call_later(self._patience.ping_s, self._ping)

    async def subscribe(self) -> None:
        """Ask for every stream; returns when the venue has agreed to all. What it refuses is asked for again, in halves.

        Raises:
            SocketFailed: the connection ended, or no answer came.
        """
        batches = list(_batches(self._streams))
        pause_s = RETRY_S
        while batches:
            batch = batches.pop(0)
            answer = await self._ask(batch)
            if "error" not in answer and answer.get("result") is None:
                await self._sleep(SUBSCRIBE_GAP_S if batches else 0.0)
                continue
            self._refuse("SUBSCRIBE_REFUSED", msgspec.json.encode(answer))
            half = (len(batch) + 1) // 2
            batches += [part for part in (batch[:half], batch[half:]) if part]
            await self._sleep(max(pause_s, SUBSCRIBE_GAP_S))
            pause_s = min(pause_s * 2, RETRY_S_MAX)

    def take_answer(self, said: dict[str, Any]) -> bool:
        """Whether this answers something we asked; an error without a number answers whatever is open."""
        number = said.get("id")
        if number is None and "error" in said and self._asked:
            number = next(iter(self._asked))
        asked = self._asked.pop(number, None) if type(number) is int else None
        if asked is None or asked.done():
            return False
        self.signs += 1
        asked.set_result(said)
        return True

    @property
    def is_up(self) -> bool:
        """Whether it has been opened and has not ended."""
        return self._is_open and not self.ended.done()

    @property
    def held(self) -> list[bytes]:
        """The frames that wait."""
        return [frame for frame, _ in self._held]

    def release(self) -> None:
        """From now on frames are taken as they come, after those that were held."""
        held, self._held = self._held, []
        self._take = self._final_take
        for frame, now in held:
            self._take(frame, now)

    def mute(self) -> None:
        """Another connection is heard instead."""
        self._take = _unheard

    def abort(self, why: str = "ABORTED") -> None:
        """End it without a goodbye."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.disconnect(graceful=False)
        elif self._raw is not None and self._raw.fileno() >= 0:
            with suppress(OSError):  # not connected yet, or not any more
                self._raw.shutdown(socket.SHUT_RDWR)

    async def hang_up(self) -> None:
        """Say goodbye, and end."""
        if not self._is_open or self._transport is None:
            self.abort()
            return
        self._why = self._why or "CLOSED"
        self._transport.send_close(WSCloseCode.OK)
        await asyncio.wait({self.ended}, timeout=GOODBYE_S)
        self.abort()
        await asyncio.wait({self.ended})

    # --- picows' side --------------------------------------------------------------------------------------------

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come."""
        if frame.msg_type is _TEXT and frame.fin:
            self._take(frame.get_payload_as_bytes(), self._now())
        else:
            self._take_other(transport, frame)

    def _take_other(self, transport: WSTransport, frame: WSFrame) -> None:
        match frame.msg_type:
            case WSMsgType.PING:
                self.signs += 1
                transport.send_pong(frame.get_payload_as_bytes())
            case WSMsgType.PONG:
                self.signs += 1
            case WSMsgType.CLOSE:
                self._why = self._why or f"CLOSED BY THE VENUE {int(frame.get_close_code())}"
                transport.send_close(WSCloseCode.OK)
                transport.disconnect()
            case WSMsgType.BINARY:
                self._refuse("NOT_TEXT", frame.get_payload_as_bytes())
            case _:
                self._take_part(transport, frame)

    def _take_part(self, transport: WSTransport, frame: WSFrame) -> None:
        """A message that comes in parts."""
        self._parts += frame.get_payload_as_bytes()
        if len(self._parts) > PAYLOAD_BYTES_MAX:
            self._refuse("TOO_BIG", bytes(self._parts))
            self.abort("TOO_BIG")
        elif frame.fin:
            whole, self._parts = bytes(self._parts), bytearray()
            self._take(whole, self._now())

    def _hold(self, frame: bytes, now: int) -> None:
        if not is_market(frame):
            self._final_take(frame, now)
        elif len(self._held) < HELD_MAX:
            self._held.append((frame, now))
        else:
            self.abort("HELD TOO MUCH")

    # --- the rest ------------------------------------------------------------------------------------------------

    async def _connected(self, url: WSParsedURL) -> socket.socket:
        """A socket of our own, so that giving up closes it whatever state it is in."""
        loop = asyncio.get_running_loop()
        error: OSError = ConnectionError(f"{url.host} has no address")
        async with asyncio.timeout(self._patience.connect_s):
            for family, kind, protocol, _, address in await loop.getaddrinfo(
                url.host, url.port, type=socket.SOCK_STREAM
            ):
                raw = socket.socket(family, kind, protocol)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BACKLOG_BYTES_MAX)
                raw.setblocking(False)
                is_connected = False
                try:
                    await loop.sock_connect(raw, address)
                    is_connected = True
                except OSError as refusal:
                    error = refusal
                finally:
                    if not is_connected:
                        raw.close()
                if is_connected:
                    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._raw = raw
                    return raw
        raise error

    async def _until_end(self, transport: WSTransport) -> str:
        """Why it ended."""
        try:
            await transport.wait_disconnected()
        except WSProtocolError as error:
            self._why = str(error)[:200]
            self._refuse("TOO_BIG" if error.code == WSCloseCode.MESSAGE_TOO_BIG else "PROTOCOL_BROKEN", self._why)
        finally:
            if self._pinging is not None:
                self._pinging.cancel()
        return self._why or "LOST"

    async def _ask(self, streams: list[str]) -> dict[str, Any]:
        assert self._transport is not None
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        asked = {"method": "SUBSCRIBE", "params": streams, "id": number}
        self._transport.send(WSMsgType.TEXT, msgspec.json.encode(asked))
        await asyncio.wait({answer, self.ended}, timeout=self._patience.answer_s, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        self._asked.clear()
        raise SocketFailed(self.ended.result() if self.ended.done() else "NO ANSWER TO SUBSCRIBE")

    async def _sleep(self, seconds: float) -> None:
        await asyncio.wait({self.ended}, timeout=seconds)
        if self.ended.done():
            raise SocketFailed(self.ended.result())

    def _ping(self) -> None:
        assert self._transport is not None
        self._transport.send_ping()
        self._pinging = asyncio.get_running_loop().call_later(self._patience.ping_s, self._ping)


def _unheard(frame: bytes, now: int) -> None:
    """Nobody listens any more."""


def _batches(streams: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(streams), BATCH_STREAMS):
        yield streams[start : start + BATCH_STREAMS]


def _seconds(retry_after: str | None) -> float:
    """What a venue asks for in whole seconds; a date or nonsense asks for nothing."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return 0.0
    return min(float(retry_after), RETRY_AFTER_S_MAX)
