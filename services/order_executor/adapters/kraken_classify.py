"""Did it happen, at Kraken? Its refusals come with status 200 and a list of strings; all else is judged as at any venue (`classify`).

an error string that says that Kraken is unwell (EService:…, EDatabase:…,
EGeneral:Internal error), or that the order exists                            UNKNOWN   <string>
EService:Market in … mode, and any other error string                         REJECTED  <string>
error strings together with a result                                          UNKNOWN   BAD_ANSWER
a 200 that is no answer of Kraken's                                           UNKNOWN   BAD_ANSWER
"""

from __future__ import annotations

from typing import Any

import msgspec

from services.order_executor.adapters import classify
from services.order_executor.adapters.classify import Heard, Outcome
from services.order_executor.refusals import kind_of

UNDECIDED = ("EService:", "EDatabase:", "EGeneral:Internal error")
DECIDED = ("EService:Market in ",)
CODE_MAX = 64


class _Refusal(msgspec.Struct):
    error: list[str]
    result: Any = None


def outcome_of(heard: Heard, error: BaseException | None) -> Outcome:
    """What a request that did not end in a good answer proves."""
    refusal = _refusal_of(heard)
    if not heard.sent or heard.status != 200 or refusal is None:
        return classify.outcome_of(heard, error)
    said = next((each for each in refusal.error if each.startswith("E")), refusal.error[0])
    code, detail = said[:CODE_MAX], "; ".join(refusal.error)[:200]
    if refusal.result:
        return Outcome("UNKNOWN", "BAD_ANSWER", f"an error and a result: {detail}")
    is_open = code.startswith(UNDECIDED) and not code.startswith(DECIDED)
    if is_open or kind_of(code, detail) == "DUPLICATE":
        return Outcome("UNKNOWN", code, detail)
    return Outcome("REJECTED", code, detail)


def _refusal_of(heard: Heard) -> _Refusal | None:
    """Kraken's `{"error": ["E…"], …}`, if the body is one."""
    try:
        found = msgspec.json.decode(heard.body, type=_Refusal)
    except msgspec.DecodeError:
        return None
    return found if found.error else None
