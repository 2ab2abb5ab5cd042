"""The operator's screen, also when nobody looks any more."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from services.cli.screen import Screen


class Gone(io.StringIO):
    """A terminal that fails each write."""

    def __init__(self, code: int):
        super().__init__()
        self.code = code
        self.tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_closed_terminal_stops_nobody(code: int) -> None:
    """Whoever speaks may be stopping the stack; the first failure is the last try."""
    gone = Gone(code)
    screen = Screen(Console(file=gone))
    screen.say("stopping")
    screen.say("stopped")
    assert gone.tries == 1


def test_a_slow_terminal_is_heard_of_again() -> None:
    """A line it would not take now comes with the next one."""
    slow = Gone(errno.EAGAIN)
    screen = Screen(Console(file=slow))
    screen.say("one")
    screen.say("two")
    assert slow.tries == 2


def test_a_broken_pipe_ends_with_the_code_of_the_work() -> None:
    """Not with that of a failed print, neither at once nor when the interpreter ends."""
    code = (
        "import sys; from rich.console import Console; from services.cli.screen import Screen;"
        "screen = Screen(Console()); sys.stdin.read(); screen.say('one'); screen.say('two'); sys.exit(7)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdin
    assert process.stderr
    process.stdout.close()
    process.stdin.close()
    assert process.wait(30) == 7
    assert process.stderr.read() == b""
    process.stderr.close()


def test_words_are_shown_as_they_are() -> None:
    """Square brackets in a process's last words are no markup."""
    out = io.StringIO()
    Screen(Console(file=out, width=20)).say("[bold]what it said, at length[/bold]")
    assert out.getvalue() == "[bold]what it said, at length[/bold]\n"
