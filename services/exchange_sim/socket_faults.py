"""Faults on WebSocket connections, of all venues alike: the watch that every connection finds when it opens."""

from __future__ import annotations

from collections.abc import Iterable

from services.exchange_sim.connections import Hole
from services.exchange_sim.fault_script import FaultScript, Standing
from services.exchange_sim.faults import SocketFault, is_stream_like
from services.exchange_sim.mangle import is_where, mangled
from services.exchange_sim.sockets import Socket


class SocketFaults:
    """Knows the open connections, and does to them what the script says."""

    def __init__(self, script: FaultScript):
        self._script = script
        self._sockets: dict[Socket, None] = {}
        self._frozen: dict[int, set[Socket]] = {}
        self._holes: dict[int, list[Hole]] = {}
        self._held: dict[Socket, dict[str, list[str]]] = {}

    def opening(self, socket: Socket) -> None:
        """A connection asks for its handshake: it is known from now on, unless it is swallowed."""
        self._sockets[socket] = None
        for standing, fault in self._script.on_sockets():
            if fault.kind == "black_hole" and fault.sticky and fault.stream is None and _is_meant(fault, socket):
                self._swallow(standing, socket)

    def closed(self, socket: Socket) -> None:
        """A connection is gone."""
        self._sockets.pop(socket, None)
        self._held.pop(socket, None)
        for frozen in self._frozen.values():
            frozen.discard(socket)

    def subscribed(self, socket: Socket, stream: str) -> None:
        """A connection has one more stream, for which it may be swallowed."""
        for standing, fault in self._script.on_sockets():
            if fault.kind == "black_hole" and fault.sticky and _is_of(fault, socket, stream):
                self._swallow(standing, socket)

    def refuses(self, socket: Socket, streams: Iterable[str]) -> bool:
        """Whether a subscription must be answered with an error."""
        for standing, fault in self._script.on_sockets():
            if fault.kind == "refuse_subscribe" and any(_is_of(fault, socket, stream) for stream in streams):
                self._script.strike(standing)
                return True
        return False

    def passed(self, socket: Socket, stream: str, text: str) -> Iterable[str]:
        """What leaves in place of a frame of `stream`: nothing, the frame or something like it, and what was held until after it."""
        if self._script.is_quiet and not self._held:
            return (text,)
        copies = 1
        for standing, fault in self._script.on_sockets():
            if not _is_of(fault, socket, stream) or not is_where(text, fault.where):
                continue
            if fault.kind in ("drop", "hold") or (fault.kind == "freeze" and self._freezes(standing, fault, socket)):
                self._script.strike(standing)
                if fault.kind == "hold":
                    self._held.setdefault(socket, {}).setdefault(stream, []).extend([text] * copies)
                return ()
            if fault.kind == "duplicate":
                self._script.strike(standing)
                copies *= 2
            elif fault.kind == "mangle" and (changed := mangled(text, fault)) is not None:
                self._script.strike(standing)
                text = changed
        held = self._held[socket].pop(stream, []) if socket in self._held else []
        return (*[text] * copies, *held)

    def begin(self, standing: Standing, fault: SocketFault) -> int:
        """Strike what can be struck at once; how many connections that were."""
        meant = [socket for socket in self._sockets if _is_meant(fault, socket)]
        if fault.kind == "freeze":
            self._frozen[standing.number] = set(meant)
        for socket in meant:
            if fault.kind == "reset":
                socket.reset()
            elif fault.kind == "close":
                socket.begin_close(fault.code)
            elif fault.kind == "black_hole":
                self._swallow(standing, socket)
            elif fault.kind == "inject":
                for _ in range(fault.times or 1):
                    socket.send(fault.frame())
        return len(meant)

    def reset_all(self, venue: str) -> int:
        """Reset every connection of a venue; how many that were."""
        meant = [socket for socket in self._sockets if socket.venue == venue]
        for socket in meant:
            socket.reset()
        return len(meant)

    def end(self, standing: Standing) -> None:
        """A fault is over: the frozen thaw, and who waits in a hole is told."""
        self._frozen.pop(standing.number, None)
        for hole in self._holes.pop(standing.number, []):
            hole.end()

    def _freezes(self, standing: Standing, fault: SocketFault, socket: Socket) -> bool:
        return fault.sticky or socket in self._frozen.get(standing.number, ())

    def _swallow(self, standing: Standing, socket: Socket) -> None:
        hole = socket.swallow()
        if hole is not None:
            self._holes.setdefault(standing.number, []).append(hole)
            self._script.strike(standing)


def _is_meant(fault: SocketFault, socket: Socket) -> bool:
    """Whether a connection is one of those the fault is about."""
    if fault.stream is None:
        return fault.venue == socket.venue and socket.is_market
    return any(_is_of(fault, socket, stream) for stream in socket.streams)


def _is_of(fault: SocketFault, socket: Socket, stream: str) -> bool:
    """Whether a stream of a connection is one of those the fault is about."""
    if fault.venue != socket.venue:
        return False
    return socket.is_market if fault.stream is None else is_stream_like(fault.stream, stream)
