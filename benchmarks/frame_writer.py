"""A venue that does nothing but write: raw sockets, no WebSocket library, frames encoded before the clock runs.

It waits until every stream has been subscribed to, on as many connections as the reader likes, and then writes each stream's
frames to the connection that asked for it: as fast as they are taken, or so many a second.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.market_frames import STREAMS, MarketFrame

CHUNK = 500
TICK_S = 0.005
READY_S_MAX = 60.0
_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455


class NobodyReads(Exception):
    """The reader has ended or never subscribed."""


class FrameWriter:
    """Listens at once; `play` does the rest."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: dict[str, _Connection] = {}
        self._is_ready = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, frames: list[MarketFrame], per_second: int | None, is_read: Callable[[], bool]) -> float:
        """Write all frames, once every stream is subscribed to; the seconds it took.

        Raises:
            NobodyReads: `is_read` says so, or nobody subscribed in time.
        """
        encoded = [(frame.stream, _encoded(0x81, frame.text)) for frame in frames]
        until = time.monotonic() + READY_S_MAX
        while not self._is_ready.wait(0.1):
            if not is_read() or time.monotonic() > until:
                raise NobodyReads(f"nobody subscribed to all of {STREAMS}; asked for: {sorted(self._connections)}")
        began = time.perf_counter()
        for due_s, part in _parts(encoded, per_second):
            time.sleep(max(0.0, began + due_s - time.perf_counter()))
            outgoing: dict[_Connection, list[bytes]] = {}
            for stream, data in part:
                outgoing.setdefault(self._connections[stream], []).append(data)
            for connection, chunk in outgoing.items():
                connection.write(b"".join(chunk))
        return time.perf_counter() - began

    def close(self) -> None:
        """Hang up."""
        self._listener.close()
        for connection in set(self._connections.values()):
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=_Connection(accepted, self._subscribe).serve, daemon=True).start()

    def _subscribe(self, connection: _Connection, streams: list[str]) -> None:
        for stream in streams:
            self._connections[stream] = connection
        if set(STREAMS) <= set(self._connections):
            self._is_ready.set()


class _Connection:
    def __init__(self, accepted: socket.socket, on_subscribe: Callable[[_Connection, list[str]], None]):
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = accepted
        self._on_subscribe = on_subscribe
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()

    def serve(self) -> None:
        """Shake hands, then answer what comes."""
        try:
            self._shake_hands()
            for opcode, payload in _incoming(self._socket):
                if opcode == 0x9:
                    self.write(_encoded(0x8A, payload))
                elif opcode == 0x8:
                    self.write(_encoded(0x88, payload))
                    return
                elif opcode == 0x1:
                    asked = json.loads(payload)
                    self.write(_encoded(0x81, json.dumps({"result": None, "id": asked["id"]}).encode()))
                    self._on_subscribe(self, asked["params"])
        except OSError:  # the reader has left, which is how a measurement ends
            return

    def _shake_hands(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(4096)
        lines = (line.partition(b": ") for line in head.split(b"\r\n"))
        (key,) = (value for name, _, value in lines if name.lower() == b"sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key + _KEY).digest())  # noqa: S324  # nosec B324  # RFC 6455 asks for it
        self.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )


def _parts(encoded: list[tuple[str, bytes]], per_second: int | None) -> Iterator[tuple[float, list[tuple[str, bytes]]]]:
    """What leaves together, and when."""
    size = CHUNK if per_second is None else max(1, int(per_second * TICK_S))
    for start in range(0, len(encoded), size):
        yield (0.0 if per_second is None else start / per_second), encoded[start : start + size]


def _encoded(first: int, payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    return bytes((first, 126)) + len(payload).to_bytes(2, "big") + payload


def _incoming(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """The frames of a client: masked, whole, short."""
    stream = connection.makefile("rb")
    while head := stream.read(2):
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(stream.read(2), "big")
        mask, payload = stream.read(4), stream.read(size)
        yield head[0] & 0xF, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
