"""Money that comes and goes without a trade: deposits and withdrawals the venue tells of, and what an operator accepts.

The books explain every balance as `opening + flows`. A transfer moves the opening, so that it is neither profit nor loss and
the next comparison is clean. A difference nobody explains stops entries until an operator takes the venue for right.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import AccountRead, BalanceMoved, BaselineAccepted, CapitalMoved
from libs.common.money import ZERO, plain
from services.order_executor.orders import base_of
from services.order_executor.reconcile import unexplained
from services.order_executor.turn import Turn


def moved(turn: Turn, event: BalanceMoved) -> None:
    """The venue tells of a transfer."""
    if not turn.state.opened or not event.amount:
        return  # the opening will be read with it
    _take_over(turn, event.asset, event.amount, "TRANSFER")
    turn.state.activity += 1


def accept(turn: Turn, event: BaselineAccepted) -> None:
    """An operator has the next quiet reading taken for the truth."""
    turn.state.baseline_wanted = event.author or "an operator"


def take_baseline(turn: Turn, read: AccountRead) -> None:
    """The reading is quiet, and an operator wants it to count: what is unexplained becomes capital."""
    author, turn.state.baseline_wanted = turn.state.baseline_wanted, ""
    for asset, difference in unexplained(read, turn.state, turn.policy).items():
        _take_over(turn, asset, difference, "ACCEPTED")
        turn.alert("BALANCE_ACCEPTED", "note", f"{author} accepts {plain(difference)} {asset} that no trade explains")


def _take_over(turn: Turn, asset: str, amount: Decimal, reason: str) -> None:
    opening = turn.state.opening
    opening[asset] = opening.get(asset, ZERO) + amount
    turn.publish(CapitalMoved(asset=asset, amount=plain(amount), reason=reason))  # type: ignore[arg-type]
    if amount < ZERO:
        _shrink_positions(turn, asset)


def _shrink_positions(turn: Turn, asset: str) -> None:
    """Coins of a position that have left cannot be guarded or sold any more."""
    owned = turn.state.opening.get(asset, ZERO) + turn.state.flows.get(asset, ZERO)
    for instrument, holding in turn.state.holdings.items():
        if base_of(instrument) == asset and holding.qty > max(owned, ZERO):
            text = f"{plain(holding.qty - owned)} {asset} of the position in {instrument} was withdrawn"
            turn.alert("POSITION_WITHDRAWN", "page", text, instrument=instrument)
            holding.qty = max(owned, ZERO)
            turn.touched[instrument] = None
