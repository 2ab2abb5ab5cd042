"""Who listens to which stream of one venue. A frame is only written when somebody does, and once for all who do."""

from __future__ import annotations

from collections.abc import Callable

from services.exchange_sim.sockets import Socket


class Streams:
    """Subscriptions by the name of the stream."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[Socket, None]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nobody listens to anything."""
        return not self._streams

    def has(self, socket: Socket, stream: str) -> bool:
        """Whether `socket` listens to `stream`."""
        return socket in self._streams.get(stream, ())

    def subscribe(self, socket: Socket, stream: str) -> None:
        """From now on `socket` gets `stream`."""
        self._streams.setdefault(stream, {})[socket] = None
        socket.add_stream(stream)

    def unsubscribe(self, socket: Socket, stream: str) -> None:
        """The end of one subscription."""
        sockets = self._streams.get(stream, {})
        sockets.pop(socket, None)
        socket.remove_stream(stream)
        if not sockets:
            self._streams.pop(stream, None)

    def drop(self, socket: Socket) -> None:
        """`socket` is gone."""
        for stream in [name for name, sockets in self._streams.items() if socket in sockets]:
            self.unsubscribe(socket, stream)

    def emit(self, stream: str, text: Callable[[], str]) -> None:
        """Send a frame of `stream` to all who listen."""
        sockets = self._streams.get(stream)
        if sockets:
            said = text()
            for socket in sockets:
                socket.send(said, stream)
