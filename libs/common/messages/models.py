"""What language models were asked and what they said, failures included: a replay reads it here and asks nobody."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

from libs.common.messages.base import Answer


class ModelAnswered(Answer, frozen=True, kw_only=True, tag="model_answered.v1"):
    """How one asking of a model ended. ANSWERED: it has given a judgement in the form it was asked for; FAILED: `failure` says why there is none.

    `request` is the canonical JSON that was asked, `key` its SHA-256 (hex). `text` is what the model wrote, as it wrote it (cut where
    it is long), also where it does not count. `cost_usd` is what is counted as spent; where tokens are 0 they were not told, and the worst
    case is counted. `http_status` 0: no answer came.
    """

    said_by: ClassVar[str] = "agent.llm"
    suffix: ClassVar[str] = "model"

    key: str
    request: str
    outcome: Literal["ANSWERED", "FAILED"]
    failure: str
    text: str
    model: str
    finish: str
    tokens_in: int
    tokens_out: int
    cost_usd: Decimal
    latency_ms: int
    http_status: int
    retry_after_s: float
