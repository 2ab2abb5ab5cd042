"""The smallest NATS client: one connection, one request at a time, over a plain socket.

Locust replaces the standard library's sockets by gevent's, and asyncio clients do not survive that. A plain blocking socket does: each of
its waits lets the other users run. It speaks the text protocol itself, so that what is measured has no client library in it.
"""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import socket
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import nkeys

from libs.runtime.nats_config import API, GUEST_API, OBSERVER_USER, inbox_prefix, key_file

ANSWER_S_MAX = 10.0
NOT_FOUND = 404
_CRLF = b"\r\n"


class WireError(Exception):
    """The server refused, said something else than an answer, or went away."""


class Delivered(NamedTuple):
    """A message of the server: its subject and its payload, headers left out."""

    subject: str
    payload: bytes


class StoredMessage(NamedTuple):
    """A message as the stream holds it; `at` is the server's own time stamp of it (RFC 3339)."""

    seq: int
    subject: str
    at: str
    payload: bytes


class Wire:
    """A user of the bus by its key in the stack's home."""

    def __init__(self, home: Path, url: str, user: str):
        """Connect and prove who we are.

        Raises:
            OSError, WireError
        """
        place = urlsplit(url)
        self._api = GUEST_API if user == OBSERVER_USER else API
        self._socket = socket.create_connection((place.hostname or "", place.port or 0), ANSWER_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._inbox = f"{inbox_prefix(user)}.{secrets.token_hex(8)}"  # many connections have one user
        self._numbers = itertools.count(1)
        self._connect(user, key_file(home, user))
        self._send(f"SUB {self._inbox}.* 1".encode())

    def close(self) -> None:
        """Leave; harmless when it is done already."""
        self._file.close()
        self._socket.close()

    def request(self, subject: str, payload: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """One question and its answer.

        Raises:
            OSError, WireError: none came.
        """
        reply = f"{self._inbox}.{next(self._numbers)}"
        self._send(framed(subject, reply, payload, headers))
        while (found := self._next()).subject != reply:
            pass  # the late answer to a question that was given up
        return found.payload

    def stored(self, stream: str, **query: Any) -> StoredMessage | None:
        """The message of a stream that the query names; None where there is none.

        Raises:
            OSError, WireError
        """
        answer = json.loads(self.request(f"{self._api}.STREAM.MSG.GET.{stream}", json.dumps(query).encode()))
        if "error" in answer:
            if answer["error"]["code"] == NOT_FOUND:
                return None
            raise WireError(f"{stream}: {answer['error']['description']}")
        found = answer["message"]
        return StoredMessage(found["seq"], found["subject"], found["time"], base64.b64decode(found.get("data", "")))

    def append(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        """Put a message into the stream that takes its subject; returns its seq.

        Raises:
            OSError, WireError: it is not known to be there.
        """
        answer = json.loads(self.request(subject, payload, headers))
        if "error" in answer:
            raise WireError(f"{subject}: {answer['error']['description']}")
        return int(answer["seq"])

    # --- inside ---------------------------------------------------------------------------------------------------

    def _connect(self, user: str, seed_file: Path) -> None:
        said = self._line()
        if not said.startswith(b"INFO "):
            raise WireError(f"want INFO, not {said[:40]!r}")
        pair = nkeys.from_seed(bytearray(seed_file.read_bytes().strip()))
        nonce = msgspec.json.decode(said[5:])["nonce"].encode()
        options = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "lang": "python",
            "version": "0",
            "protocol": 1,
            "name": f"load-{user}",
            "nkey": pair.public_key.decode(),
            "sig": base64.b64encode(pair.sign(nonce)).decode(),
        }
        pair.wipe()
        self._send(b"CONNECT " + json.dumps(options).encode() + _CRLF + b"PING")
        if (said := self._line()) != b"PONG":
            raise WireError(f"{user} is not let in: {said.decode(errors='replace')}")

    def _send(self, line: bytes) -> None:
        self._socket.sendall(line + _CRLF)

    def _line(self) -> bytes:
        line: bytes = self._file.readline()
        if not line.endswith(_CRLF):
            raise WireError("the server closed the connection")
        return line[:-2]

    def _next(self) -> Delivered:
        while True:
            line = self._line()
            verb, _, rest = line.partition(b" ")
            if verb in (b"MSG", b"HMSG"):
                words = rest.decode().split()
                total = int(words[-1])
                head = int(words[-2]) if verb == b"HMSG" else 0
                body: bytes = self._file.read(total + 2)
                if len(body) != total + 2:
                    raise WireError("the server closed the connection")
                if head and body.startswith(b"NATS/1.0 503"):
                    raise WireError("nobody answers there")
                return Delivered(words[0], body[head:total])
            if verb == b"PING":
                self._send(b"PONG")
            elif verb == b"-ERR":
                raise WireError(rest.decode(errors="replace"))


def framed(subject: str, reply: str, payload: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A publish as it goes over the wire, without its last line end."""
    if not headers:
        return f"PUB {subject} {reply} {len(payload)}".encode() + _CRLF + payload
    head = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    return f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}".encode() + _CRLF + head.encode() + payload
