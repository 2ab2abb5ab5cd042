"""What a failed request to KuCoin proves, by KuCoin's own code; everything else is judged as at any venue (`classify`).

KuCoin refuses with status 200 as well as with 4xx, always as `{"code": "<six digits>", "msg": …}`; "200000" is its word for success.

    a code of its own, below 500           REJECTED <code>   (UNDECIDED codes, and an id it knows already: UNKNOWN)
    the same with 5xx                      UNKNOWN  HTTP_<status>, or its UNDECIDED code
    anything else                          as `classify` says
"""

from __future__ import annotations

import msgspec

from services.order_executor.adapters import classify
from services.order_executor.adapters.classify import Heard, Outcome
from services.order_executor.refusals_kucoin import UNDECIDED, kind_of

GOOD = "200000"
NOT_THERE = ("order_not_exist", "order not exist", "order does not exist", "ordernotexist")
"""Parts of what KuCoin says, in small letters, of an order that it does not have."""


class _Refusal(msgspec.Struct):
    code: str
    msg: str = ""


def outcome_of(heard: Heard, error: BaseException | None) -> Outcome:
    """What a request that did not end in a good answer proves; `error` is what the client raised, if anything."""
    refusal = _refusal_of(heard)
    if not heard.sent or heard.status == 0 or refusal is None:
        return classify.outcome_of(heard, error)
    said = refusal.msg[:200]
    if heard.status >= 500:
        code = refusal.code if refusal.code in UNDECIDED else f"HTTP_{heard.status}"
        return Outcome("UNKNOWN", code, f"status {heard.status}: {said}")
    exists = kind_of(refusal.code, said) == "DUPLICATE"
    return Outcome("UNKNOWN" if exists or refusal.code in UNDECIDED else "REJECTED", refusal.code, said)


def is_not_there(outcome: Outcome) -> bool:
    """Whether KuCoin says, in so many words, that it has no such order, or none that could be taken back."""
    return outcome.verdict == "REJECTED" and any(part in outcome.detail.lower() for part in NOT_THERE)


def _refusal_of(heard: Heard) -> _Refusal | None:
    try:
        found = msgspec.json.decode(heard.body, type=_Refusal)
    except msgspec.DecodeError:
        return None
    return None if found.code == GOOD else found
