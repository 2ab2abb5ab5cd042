"""What the model agent asks of the world."""

from __future__ import annotations

from libs.runtime.machine import Request
from services.signal_agents.llm.case import Case
from services.signal_agents.llm.prompt import Question


class AskModel(Request, frozen=True, kw_only=True):
    """Ask the model about `case` in the words of `question`; the answer is `ModelAnswered`, within `deadline_ms` (wall time).

    It may be repeated: an answer binds nobody, and what asking costs is paid beforehand.
    """

    question: Question
    case: Case
    deadline_ms: int
