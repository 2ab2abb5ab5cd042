"""What a drill writes down: each step with its time, each thing that must hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from deploy.release.running import DrillFailed


class Report:
    """What was done, how long it took, and what held."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.held = 0

    def say(self, text: str) -> None:
        """A line of its own."""
        self.lines.append(text)
        print(text, flush=True)

    def step(self, seconds: float, text: str) -> None:
        """Something was done."""
        self.say(f"  {seconds:6.1f} s  {text}")

    def timed(self, text: str, work: Callable[[], Any]) -> Any:
        """The same, around the work."""
        began = time.monotonic()
        found = work()
        self.step(time.monotonic() - began, text)
        return found

    def check(self, text: str, holds: bool, found: object = "") -> None:
        """Something must be so.

        Raises:
            DrillFailed: it is not.
        """
        if not holds:
            raise DrillFailed(f"does not hold: {text} ({found})")
        self.held += 1
        self.say(f"            held: {text}")
