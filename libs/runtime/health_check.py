"""`python -m libs.runtime.health_check [port]`: does this container's own service say that it is ready? For engines that run a command to find out.

Plain sockets, because an image without a shell has no curl, and an HTTP client would take a fifth of a second of the machine every five.
"""

from __future__ import annotations

import os
import socket
import sys

TIMEOUT_S = 2.0
READY, NOT_READY = 0, 1


def is_ready(port: int, host: str = "127.0.0.1") -> bool:
    """Whether `/readyz` of the service on this port answers 200."""
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b" 200 " in connection.recv(64).split(b"\r\n")[0]
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """The exit code that engines expect: 0 healthy, 1 not."""
    port = int(arguments[0]) if arguments else int(os.environ.get("BULKHEAD_HTTP_PORT", "0"))
    return READY if is_ready(port) else NOT_READY


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
