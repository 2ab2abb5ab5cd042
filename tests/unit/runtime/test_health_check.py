"""What an engine is told of a container's health: the service's own word, and nothing else for yes."""

from __future__ import annotations

import socket
import threading

import pytest

from libs.runtime import health_check


def answering(line: bytes) -> int:
    """The port of a server that answers one request with this first line."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, server:
            connection.recv(1024)
            connection.sendall(line + b"\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("line", "code"), [(b"HTTP/1.0 200 OK", 0), (b"HTTP/1.1 503 Service Unavailable", 1), (b"", 1), (b"200", 1)]
)
def test_only_a_ready_service_is_healthy(line: bytes, code: int) -> None:
    """Ready is healthy; not ready, silence and nonsense are not."""
    assert health_check.main([str(answering(line))]) == code


def test_nobody_there_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port where nobody listens, as the variable of the service names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("BULKHEAD_HTTP_PORT", str(port))
    assert health_check.main([]) == 1
