"""The way out of a zone (deploy/egress/haproxy.cfg), on a real HAProxy: TLS to the hosts of the list, unread, and nothing else."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.deploy.authority import CERTIFICATE, Authority
from tests.nats_stack import free_ports
from tests.style.tree import ROOT

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed here")
HERE, THERE, WITHIN = "127.0.0.1", "127.0.0.2", "127.0.0.3"
"""Where the way out listens; where the venue is; an address that no name may lead to."""
LISTED, LYING, SILENT, OTHER = "api.binance.com", "stream.binance.com", "ws-api.binance.com", "evil.example"
ADDRESSES = {LISTED: THERE, LYING: WITHIN, OTHER: THERE}


def answer_names(server: socket.socket) -> None:
    """A name server for what ADDRESSES says; the others do not exist."""
    while True:
        try:
            query, sender = server.recvfrom(512)
        except OSError:
            return
        labels, place = [], 12
        while query[place]:
            labels.append(query[place + 1 : place + 1 + query[place]].decode())
            place += query[place] + 1
        question = query[12 : place + 5]
        address = ADDRESSES.get(".".join(labels))
        head = query[:2] + struct.pack(">HHHHH", 0x8180 if address else 0x8183, 1, 1 if address else 0, 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(address) if address else b""
        server.sendto(head + question + record, sender)


def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    """A venue: it says who was called, by TLS."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(plain, server_side=True) as secure:
                secure.sendall(b"the venue")
        except OSError:
            plain.close()


class Zone:
    """A zone whose names lead to the way out, and what is behind it."""

    def __init__(self, folder: Path):
        self.port, dns = free_ports(2)
        folder.mkdir(exist_ok=True)
        authority = Authority(folder)
        authority.certify(folder / "venue.pem", folder / "venue.key", (LISTED, LYING, OTHER))
        self.trusted = ssl.create_default_context(cafile=folder / CERTIFICATE)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "venue.pem", folder / "venue.key")
        self.names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.names.bind((HERE, dns))
        self.venues = [socket.create_server((address, self.port)) for address in (THERE, WITHIN)]
        threading.Thread(target=answer_names, args=(self.names,), daemon=True).start()
        for venue in self.venues:
            threading.Thread(target=serve, args=(venue, context), daemon=True).start()
        lists = folder / "lists"
        lists.mkdir()
        shutil.copyfile(ROOT / "deploy" / "egress" / "exec" / "hosts", lists / "hosts")
        (lists / "never").write_text(f"{WITHIN}/32\n")  # the file of the deployment names all of 127.0.0.0/8
        told = {"EGRESS_DNS": f"{HERE}:{dns}", "EGRESS_LISTEN": f"{HERE}:{self.port}", "EGRESS_LISTS": str(lists)}
        assert HAPROXY is not None
        command = [HAPROXY, "-db", "-f", str(ROOT / "deploy" / "egress" / "haproxy.cfg")]
        self.log = (folder / "log").open("w+b")
        self.proxy = subprocess.Popen(command, env=told, stdout=self.log, stderr=subprocess.STDOUT)

    def said(self) -> str:
        """What the way out has logged."""
        return Path(self.log.name).read_text()

    def call(self, name: str | None) -> bytes:
        """What comes back to a service that calls this host by TLS; b"" if nothing does."""
        deadline = time.monotonic() + 10
        while True:
            try:
                plain = socket.create_connection((HERE, self.port), 2)
                break
            except OSError:  # it is not up yet
                assert time.monotonic() < deadline, self.said()
                time.sleep(0.05)
        plain.settimeout(10)
        context = self.trusted
        if name is None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with plain, context.wrap_socket(plain, server_hostname=name) as secure:
                return secure.recv(100)
        except ssl.SSLCertVerificationError:  # it has spoken for somebody else
            raise
        except (ssl.SSLError, ConnectionError):
            return b""

    def close(self) -> None:
        """End all of it."""
        self.proxy.terminate()
        self.proxy.wait(10)
        for each in (self.names, *self.venues, self.log):
            each.close()


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    """A zone with the executor's list."""
    made = Zone(tmp_path / "zone")
    yield made
    made.close()


def test_a_listed_host_is_reached_and_not_read(zone: Zone) -> None:
    """The service verifies the venue's own certificate: what is between them holds none, and passes bytes on."""
    assert zone.call(LISTED) == b"the venue"


@pytest.mark.parametrize("name", [OTHER, LISTED.replace("api", "api2"), f"x{LISTED}", f"{LISTED}.{OTHER}", None])
def test_nobody_else_is_reached(zone: Zone, name: str | None) -> None:
    """Another name, one that only looks like a listed one, or none at all: the connection ends before anybody outside hears of it."""
    assert zone.call(name) == b""


def test_a_name_that_leads_inside_is_not_followed(zone: Zone) -> None:
    """A name server that says of a listed host that it is one of our own machines is not believed."""
    assert zone.call(LYING) == b""
    assert zone.call(LISTED) == b"the venue"


def test_a_name_that_nobody_knows_is_not_called(zone: Zone) -> None:
    """A listed host that does not exist now: the service gets an end at once, not silence."""
    assert zone.call(SILENT) == b""


def test_what_is_not_tls_does_not_pass(zone: Zone) -> None:
    """Plain HTTP names a host as well; it could carry anything to anywhere, so it is not looked at."""
    zone.call(LISTED)
    with socket.create_connection((HERE, zone.port), 2) as plain:
        plain.settimeout(15)
        plain.sendall(f"GET / HTTP/1.1\r\nHost: {LISTED}\r\n\r\n".encode())
        try:
            answered = plain.recv(100)
        except ConnectionError:
            answered = b""
    assert answered == b""


def test_who_called_whom_is_logged(zone: Zone) -> None:
    """One line of JSON a connection, refused ones too: what a service wanted outside can be asked later."""
    zone.call(LISTED)
    zone.call(OTHER)
    deadline = time.monotonic() + 5
    while zone.said().count('"event":"egress"') < 2:
        assert time.monotonic() < deadline, zone.said()
        time.sleep(0.05)
    assert f'"host":"{LISTED}","to":"{THERE}"' in zone.said()
    assert f'"host":"{OTHER}","to":"-"' in zone.said()
