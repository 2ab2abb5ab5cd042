"""What `bulkhead doctor` finds of the console: of a stack that runs whether it answers, of one that does not whether its port is to be had."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import aiohttp

from services.cli.console_link import console_url
from services.cli.doctor import Finding
from services.cli.doctor_edges import ask
from services.cli.place import Place
from services.cli.stack import GATEWAY, Ports

CHECK = "console"
PORT_CURE = "end who listens there, or set BULKHEAD_GATEWAY_PORT"


async def check_console(gateway: Any, place: Place, ports: Ports) -> Finding:
    """The console's address, as `gateway` (its settings, or None: not wanted) and the stack in `place` have it."""
    if gateway is None:
        return Finding(CHECK, "OK", "not wanted (BULKHEAD_GATEWAY=false)")
    if place.is_supervised and GATEWAY not in place.services:
        return Finding(CHECK, "OK", "the stack that runs has none")
    if place.is_supervised:
        return await _answers(gateway, place)
    url, port = console_url(gateway), gateway.gateway_port
    if not port:
        return Finding(CHECK, "OK", "it will pick a free port")
    if (trouble := _trouble_at(gateway.gateway_host, port)) is not None:
        return Finding(CHECK, "FAIL", f"cannot listen at {url}: {os.strerror(trouble)}", _cure_of(trouble))
    if port == ports.beside_gateway and port != ports.gateway:
        text = f"somebody else listens at {ports.gateway}, where people look for it: it will be at {url}"
        return Finding(CHECK, "WARN", text, PORT_CURE)
    return Finding(CHECK, "OK", f"{url} is free")


async def _answers(gateway: Any, place: Place) -> Finding:
    """What the running stack's own gateway says; it has written down where it listens."""
    again = "look again in some seconds; if it stays: look at logs/gateway.log in the state folder"
    try:
        port = int((place.home / "gateway" / "port").read_text())
    except (OSError, ValueError):
        return Finding(CHECK, "FAIL", "has not said where it listens", again)
    url = console_url(gateway.model_copy(update={"gateway_port": port}))
    try:
        said = await ask("GET", f"{url}/livez", is_ours=True)
    except (OSError, aiohttp.ClientError, TimeoutError) as error:
        return Finding(CHECK, "FAIL", f"does not answer at {url} ({type(error).__name__})", again)
    if (said.status, said.body) != (200, {"alive": True}):
        return Finding(CHECK, "FAIL", f"somebody else answers at {url}", PORT_CURE)
    return Finding(CHECK, "OK", f"answers at {url}")


def _trouble_at(host: str, port: int) -> int | None:
    """Why nobody could listen there (errno); None: he could."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return errno.EADDRNOTAVAIL
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free to listen on
        try:
            probe.bind(address)
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return None


def _cure_of(trouble: int) -> str:
    return PORT_CURE if trouble == errno.EADDRINUSE else "correct BULKHEAD_GATEWAY_HOST or BULKHEAD_GATEWAY_PORT"
