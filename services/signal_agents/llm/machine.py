"""The model agent: for now it hears of bars and answers, and asks nothing.

The parts that touch the model are here (`case`, `texts`, `prompt`, `answer`, `adapters`); what joins them to the rules' decisions comes later.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from libs.common.messages import Message
from libs.runtime.machine import Effect
from services.signal_agents.llm.prompt import Params


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can change a question."""

    params: Params


class Memory(msgspec.Struct, kw_only=True):
    """Nothing is remembered yet."""


class LlmMachine:
    """Bars and answers in, nothing out."""

    Settings: ClassVar[type[Manner]] = Manner
    State: ClassVar[type[Memory]] = Memory

    def __init__(self, settings: Manner):
        self.settings = settings
        self.state = Memory()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """Nothing follows from anything yet."""
        return []
