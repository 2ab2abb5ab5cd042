"""The operator's screen: where words reach people, foreign ones as words only; and the supervisor's lines, on which nothing depends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSEEN = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), *_BIDI))
del _UNSEEN[0x09], _UNSEEN[0x0A]


def visible(text: str) -> str:
    """`text` without what a terminal would obey instead of show: control characters, and what turns the direction of reading."""
    return text.translate(_UNSEEN)


class Terminal(Console):
    """A console on which nothing but rich itself commands the terminal: alerts, refusals and reasons may be a stranger's words."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Everything that is printed comes by here, piece by piece."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(visible(piece.text), piece.style)


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
