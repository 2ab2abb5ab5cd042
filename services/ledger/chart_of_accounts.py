"""The chart of accounts, and the journal entries the ledger knows. Pure.

Every account holds any number of assets, and **every entry sums to zero in every asset**: nothing is ever converted inside
the books, so no rate can be wrong in them. Debits are positive, credits negative.

    account                holds                                              debit means                credit means
    asset:<ASSET>          what we own at the venue, free and locked          more of it                 less of it
    equity:opening         the other side of what we owned at the start                                  owned at the start
    equity:capital         the other side of what people moved in or out     taken out                   brought in
    trading:<INSTRUMENT>   the clearing account of one instrument: what was   given to the market        received from it
                           exchanged for what (quote paid, base received)
    fees:<ASSET>           commissions paid, in the asset they were paid in   paid                       rebated

    OPENING   asset:A +balance                equity:opening A -balance                     for every asset owned
    FILL      BUY  asset:BASE  +qty           trading:I BASE  -qty
                   asset:QUOTE -qty*px        trading:I QUOTE +qty*px
              SELL the same with all signs turned
              and  fees:C +commission         asset:C -commission                           C may be base, quote or a third
    ADJUSTMENT asset:A +amount                equity:capital A -amount                     amount < 0: it went out

The books never adjust themselves: an ADJUSTMENT follows from `CapitalMoved`, which the venue's own word or an operator stands behind.

So `asset:*` is the balance sheet (compared with the venue's balances at every reconciliation), and `trading:I`, valued at
the mark with its sign turned, is the gross profit of `I` since the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext

from libs.common.messages import Posting, Side
from libs.common.money import ZERO, plain
from libs.trading.positions import EXACT

EQUITY_OPENING = "equity:opening"
EQUITY_CAPITAL = "equity:capital"
_ASSET = "asset:"


def asset_account(asset: str) -> str:
    """What we own of `asset` at the venue."""
    return f"{_ASSET}{asset}"


def trading_account(instrument: str) -> str:
    """The clearing account of `instrument`."""
    return f"trading:{instrument}"


def fees_account(asset: str) -> str:
    """Commissions paid in `asset`."""
    return f"fees:{asset}"


def assets_of(instrument: str) -> tuple[str, str] | None:
    """Base and quote currency of a `BASE-QUOTE` token; None if it is not one."""
    base, dash, quote = instrument.partition("-")
    return (base, quote) if dash and base and quote and "-" not in quote and base != quote else None


def opening_postings(totals: Mapping[str, Decimal]) -> tuple[Posting, ...]:
    """The opening entry of a book that owns `totals`; assets it owns nothing of are left out."""
    lines = []
    for asset, total in sorted(totals.items()):
        lines += _pair(asset_account(asset), EQUITY_OPENING, asset, total)
    return _balanced(lines)


def capital_postings(asset: str, amount: Decimal) -> tuple[Posting, ...]:
    """The entry of `amount` of `asset` that people brought in (> 0) or took out (< 0)."""
    return _balanced(_pair(asset_account(asset), EQUITY_CAPITAL, asset, amount))


def fill_postings(
    instrument: str, side: Side, qty: Decimal, px: Decimal, commission: Decimal, commission_asset: str
) -> tuple[Posting, ...]:
    """The entry of one execution of `qty` base at `px`, with its commission (negative: a rebate).

    Raises:
        ValueError: `instrument` is not a BASE-QUOTE token.
    """
    assets = assets_of(instrument)
    if assets is None:
        raise ValueError(f"{instrument!r} is not a BASE-QUOTE token")
    base, quote = assets
    with localcontext(EXACT):
        sign = 1 if side == "BUY" else -1
        lines = _pair(asset_account(base), trading_account(instrument), base, sign * qty)
        lines += _pair(asset_account(quote), trading_account(instrument), quote, -sign * qty * px)
        lines += _pair(fees_account(commission_asset), asset_account(commission_asset), commission_asset, commission)
    return _balanced(lines)


def moves(postings: Sequence[Posting]) -> dict[str, Decimal]:
    """By how much the postings change what we own, by asset."""
    changes: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for posting in postings:
            if posting.account.startswith(_ASSET):
                changes[posting.asset] = plain(changes.get(posting.asset, ZERO) + posting.amount)
    return changes


def _pair(debited: str, credited: str, asset: str, amount: Decimal) -> list[Posting]:
    if amount.is_zero():
        return []
    with localcontext(EXACT):
        return [
            Posting(account=debited, asset=asset, amount=plain(amount)),
            Posting(account=credited, asset=asset, amount=plain(-amount)),
        ]


def _balanced(lines: list[Posting]) -> tuple[Posting, ...]:
    sums: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for line in lines:
            sums[line.asset] = sums.get(line.asset, ZERO) + line.amount
    assert not any(sums.values()), f"an entry must sum to zero in every asset: {sums}"
    return tuple(lines)
