"""What the portfolio remembers of one instrument: opinions, price, position, and the one wish that is under way.

An instrument is in one of these situations, and only the first lets a wish be made:

    free ──intent──▶ INTENDED ──approved──▶ APPROVED ──final report──▶ CLOSED ──every fill in the ledger──▶ free
                        │ denied, or valid_until   │ no report long after valid_until: free
                        │ passed: free

CLOSED lasts from the order's last report to the moment the ledger has booked its fills: until then the position known here
is the old one, and a wish made on it would be made twice. A fill that the ledger refuses is never booked: an equity from clearly later
proves that it was passed by.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from libs.common.messages import Side, Stance
from libs.common.money import ZERO
from libs.common.timeframe import SECOND

BOOKED_KEPT = 32
"""How many booked exec ids are remembered, to recognise a fill told again."""
PASSED_BY_NS = 10 * SECOND
"""So much later than a fill was heard, the ledger's equity is about a log that contained the fill."""


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's last signal. `flat_bars` is how many ready FLAT signals in a row it ends; `story` is its correlation id.

    `strength` in [0, 1] and `evidence` are as it said them; `timeframe` is that of the bar.
    """

    end_ts: int
    ready: bool
    stance: Stance
    close_px: float
    atr: float
    flat_bars: int
    story: str
    strength: float = 0.0
    timeframe: str = "15m"
    evidence: dict[str, float] = {}


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The last known best bid and ask, proven at `ts` (ns)."""

    bid_px: float
    ask_px: float
    ts: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the last entry was wished for: where it is to be sold again, and the story it belongs to; `is_spent` once some was sold."""

    target_px: Decimal | None
    story: str
    is_spent: bool = False


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that was proposed to a model: `timeframe` and `end_ts` are those of the bar it follows from, `story` whose it is, `due` (ns) the end of the wait.

    `waits` is False where nobody waits (any more): a judgement is then a vote to be scored, and changes no decision.
    """

    proposal_id: str
    timeframe: str
    end_ts: int
    due: int
    story: str
    waits: bool


class Wish(msgspec.Struct, kw_only=True):
    """The one unresolved intent of an instrument. `cash` is promised to it until the ledger knows better.

    Once `is_reported` the executor has it, and only its reports end it; without any, an approved one is let go at `unanswered_at` (ns).
    """

    intent_id: str
    side: Side
    cash: Decimal = ZERO
    stage: Literal["INTENDED", "APPROVED", "CLOSED"] = "INTENDED"
    has_filled: bool = False
    is_reported: bool = False
    unanswered_at: int = 0


class Book(msgspec.Struct, kw_only=True):
    """One instrument. `unbooked` are fills the ledger has not booked yet; `*_after` (ns) end the pauses after a refusal.

    `plan` is the last entry's and outlives it: a fill may come after a cancel. It is nothing to what somebody buys by hand after
    that was sold. `cash_spent` is what a finished entry may have
    cost and the last `EquityChanged` did not yet know of. `held_since` (ns) is when the position was entered, 0 while there is none: what
    dust an earlier one left does not make it older. `backed_at` is when the opinions last were for it, `filled_at` when a fill was heard last.
    """

    opinions: dict[str, Opinion] = {}
    quote: Quote | None = None
    signed_qty: Decimal = ZERO
    wish: Wish | None = None
    pending: Pending | None = None
    plan: Plan | None = None
    unbooked: list[str] = []
    booked: list[str] = []
    entry_after: int = 0
    exit_after: int = 0
    cash_spent: Decimal = ZERO
    held_since: int = 0
    backed_at: int = 0
    filled_at: int = 0

    @property
    def is_free(self) -> bool:
        """Whether nothing is under way, so that `signed_qty` is the whole truth."""
        return self.wish is None and not self.unbooked

    @property
    def cash_promised(self) -> Decimal:
        """Cash that is not free although the ledger's balance still holds it."""
        return self.cash_spent + (self.wish.cash if self.wish is not None else ZERO)

    def fill(self, exec_id: str, now: int) -> bool:
        """Note a fill that the ledger has yet to book; False if it is an old one told again."""
        if exec_id in self.unbooked or exec_id in self.booked:
            return False
        self.unbooked.append(exec_id)
        self.filled_at = now
        return True

    def passed_by(self, ts: int) -> None:
        """The ledger has told an equity at `ts` (ns): what it has not booked by then, it never will."""
        if self.unbooked and ts - self.filled_at > PASSED_BY_NS:
            self.unbooked = []
            self.settle()

    def post(self, exec_id: str, signed_qty: Decimal, now: int) -> None:
        """The ledger has booked `exec_id` and says where we stand."""
        is_entered = self.wish is not None and self.wish.side == "BUY" and signed_qty > self.signed_qty
        if signed_qty <= ZERO:
            self.held_since = 0
        elif is_entered or not self.held_since:
            self.held_since = self.backed_at = now
        if self.plan is not None and signed_qty < self.signed_qty:
            self.plan = msgspec.structs.replace(self.plan, is_spent=True)
        elif self.plan is not None and self.plan.is_spent and signed_qty > self.signed_qty and not is_entered:
            self.plan = None
        self.signed_qty = signed_qty
        if exec_id:
            self.unbooked = [known for known in self.unbooked if known != exec_id]
            self.booked = [*self.booked, exec_id][-BOOKED_KEPT:]
        self.settle()

    def pause(self, side: Side, until: int) -> None:
        """No wish of this side before `until` (ns)."""
        if side == "BUY":
            self.entry_after = max(self.entry_after, until)
        else:
            self.exit_after = max(self.exit_after, until)

    def settle(self) -> None:
        """Let go of the wish once its order is closed and every fill is booked."""
        if self.wish is not None and self.wish.stage == "CLOSED" and not self.unbooked:
            if self.wish.has_filled:
                self.cash_spent += self.wish.cash
            self.wish = None
