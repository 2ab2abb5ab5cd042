"""The operator's screen: the one place where the supervisor prints, and nothing it does depends on that."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.text import Text


class Screen:
    """Lines for people. When nobody can read them any more, they are dropped."""

    def __init__(self, console: Console):
        self._console = console

    def say(self, text: str, style: str = "yellow") -> None:
        """One line, as it is."""
        self.show(Text(text, style=style))

    def show(self, line: Text) -> None:
        """One line with its colours."""
        try:
            self._console.print(line, highlight=False, soft_wrap=True)
        except BlockingIOError:  # a terminal that is slow, not gone: the line stays in the console's buffer
            return
        except (OSError, SystemExit):
            # The terminal was closed or the disk is full (SystemExit is what rich makes of a broken pipe). Whoever speaks may be
            # stopping the stack just now, and a stop must not end half way because nobody listens.
            self._let_go()

    def _let_go(self) -> None:
        self._console.quiet = True
        if self._console.file is sys.__stdout__:  # what it still holds would fail once more when the interpreter ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._console.file.fileno())
            os.close(nowhere)
