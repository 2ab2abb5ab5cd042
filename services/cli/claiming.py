"""A state folder and its ports, claimed before anything runs in them: one supervisor a folder, and no port that somebody else has."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.cli.stack_keys import StackError


class HomeError(StackError):
    """The state folder cannot be written; the text says why, `cure` what to do."""

    cure = "set BULKHEAD_HOME (or --home) to a folder that you may write to"


@contextmanager
def writing_into(home: Path) -> Iterator[None]:
    """What goes wrong with files below `home` is told as a fact about that folder, wherever it happens.

    Raises:
        HomeError
    """
    try:
        yield
    except OSError as error:
        if not _is_below(error.filename, home):
            raise
        raise HomeError(f"the state folder {home} cannot be used: {error.filename}: {error.strerror}") from error


def _is_below(name: object, home: Path) -> bool:
    return isinstance(name, str | os.PathLike) and Path(name).absolute().is_relative_to(home.absolute())


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold the home folder for one supervisor; the kernel lets go of it when we die, however we die.

    Raises:
        StackError: another supervisor holds it.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(home / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise StackError(
                f"{home} is in use by another supervisor (pid {holder}); stop that one,"
                " or set BULKHEAD_HOME and BULKHEAD_PORT_BASE to run a second stack"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def check_ports(wanted: Mapping[str, int]) -> None:
    """Refuse to begin when a port is taken, before anything runs.

    Raises:
        StackError: names every taken port, who wanted it, and the variable that moves them all.
    """
    taken = [f"{port} ({name})" for name, port in wanted.items() if port and not is_free(port)]
    if taken:
        raise StackError(
            f"taken by somebody else on 127.0.0.1: port {', '.join(taken)}; stop who uses it, or set BULKHEAD_PORT_BASE"
        )


def is_free(port: int) -> bool:
    """Whether somebody could listen on this port of the loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free to listen on
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
