"""The operator's screen, also when nobody looks any more."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.screen import Screen, Terminal


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


EVIL = "gone\x1b[2J \x1b]0;renamed\x07 \x9b2J\r\u202ereversed\x00\ttab"
"""Clears the screen, renames the window, clears it in other words, overwrites the line, turns it around."""


@pytest.mark.parametrize("shown", ["alert", "table", "styled"])
def test_a_strangers_words_do_not_command_the_terminal(shown: str) -> None:
    """Agents of another zone raise alerts, and what they say is told: as words, whatever is in them."""
    out, table = io.StringIO(), Table("said")
    table.add_row(Text(EVIL))
    what = {"alert": Text(EVIL), "table": table, "styled": Text(EVIL, style="bold red")}[shown]
    Terminal(file=out, width=100, force_terminal=True, color_system="standard").print(what)
    written = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())  # the colours are rich's own
    assert "gone[2J ]0;renamed 2Jreversed" in written
    assert not [each for each in written if not (each.isprintable() or each == "\n")]


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
