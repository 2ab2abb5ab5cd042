"""The pure comparison of what the venue shows with what we believe: no effects, no guesses.

Facts (executions, orders seen) are taken as they are, for they are true whenever they were read. Absences are not facts: an
order we hold open and the venue does not list is a question, to be asked by look-up, and only if nothing we know of it is
younger than the reading. Balances are compared only when nothing moves.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import AccountRead, Balance, VenueFill, VenueOrder
from libs.common.money import ZERO, plain
from services.order_executor.orders import IN_FLIGHT, Order, base_of, exec_key, quote_of
from services.order_executor.state import Policy, State


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How a reading differs from our view.

    `fills` and `seen` concern our orders (by client id); `absent` are orders we hold open that the venue does not list;
    `verdicts` are orders that were looked up in vain and that this reading does not show either. `foreign_fills` and
    `foreign_orders` are nobody's that we know.
    """

    fills: tuple[tuple[str, VenueFill], ...] = ()
    seen: tuple[tuple[str, VenueOrder], ...] = ()
    absent: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    foreign_fills: tuple[VenueFill, ...] = ()
    foreign_orders: tuple[VenueOrder, ...] = ()


def differ(read: AccountRead, state: State) -> Difference:
    """Compare one good reading with `state`."""
    fills, foreign_fills = [], []
    for fill in read.fills:
        if exec_key(fill) in state.booked or exec_key(fill) in state.foreign:
            continue
        ours = state.find(fill.cl_ord_id, fill.venue_order_id)
        if ours is None:
            foreign_fills.append(fill)
        else:
            fills.append((ours.cl_ord_id, fill))
    seen, foreign_orders = [], []
    for shown in read.open_orders:
        ours = state.find(shown.cl_ord_id, shown.venue_order_id)
        if ours is None:
            foreign_orders.append(shown)
        else:
            seen.append((ours.cl_ord_id, shown))
    mentioned = dict.fromkeys([*(name for name, _ in seen), *(name for name, _ in fills)])
    missing = [order for order in state.orders.values() if order.cl_ord_id not in mentioned]
    return Difference(
        fills=tuple(fills),
        seen=tuple(seen),
        absent=tuple(order.cl_ord_id for order in missing if _should_be_listed(order, state)),
        verdicts=tuple(order.cl_ord_id for order in missing if _awaits_verdict(order, state)),
        foreign_fills=tuple(foreign_fills),
        foreign_orders=tuple(foreign_orders),
    )


def _should_be_listed(order: Order, state: State) -> bool:
    """Open in our view since before the reading was asked for, and nobody is asking about it yet."""
    resting = order.status in ("NEW", "PARTIALLY_FILLED")
    return resting and order.inquiry is None and order.changed <= state.reading.activity


def _awaits_verdict(order: Order, state: State) -> bool:
    """Looked up in vain before this reading was asked for."""
    inquiry = order.inquiry
    return inquiry is not None and 0 < inquiry.verdict_read <= state.reading.number


def is_quiet(state: State) -> bool:
    """Whether nothing moved since the reading was asked for and nothing is under way, so that balances can be compared."""
    settled = all(
        order.status not in IN_FLIGHT and not order.lacks_fills and order.inquiry is None
        for order in state.orders.values()
    )
    return settled and state.activity == state.reading.activity


def mismatches_of(read: AccountRead, state: State, policy: Policy) -> tuple[str, ...]:
    """What a quiet reading leaves unexplained: foreign open orders, and balances that our fills do not lead to."""
    found = []
    for shown in read.open_orders:
        ours = state.find(shown.cl_ord_id, shown.venue_order_id)
        if ours is None:
            found.append(
                f"foreign order {shown.venue_order_id}: {shown.side} {plain(shown.order_qty)} {shown.instrument}"
            )
        elif ours.is_closed:
            found.append(f"order {ours.cl_ord_id} is {ours.status} here and open at the venue")
    for asset, difference in unexplained(read, state, policy).items():
        expected = state.opening.get(asset, ZERO) + state.flows.get(asset, ZERO)
        found.append(f"balance {asset}: venue {plain(expected + difference)}, expected {plain(expected)}")
    return tuple(found)


def unexplained(read: AccountRead, state: State, policy: Policy) -> dict[str, Decimal]:
    """By asset, how much more the venue has than our fills lead to, where that is beyond the tolerance."""
    totals = {balance.asset: balance.free + balance.locked for balance in read.balances}
    found = {}
    for asset, tolerance in _compared(state, policy).items():
        difference = totals.get(asset, ZERO) - state.opening.get(asset, ZERO) - state.flows.get(asset, ZERO)
        if abs(difference) > tolerance:
            found[asset] = difference
    return found


def digest_of(read: AccountRead) -> str:
    """What two readings must have in common to be the same."""
    shown = [(each.venue_order_id, str(each.cum_qty)) for each in read.open_orders]
    balances = [(each.asset, str(each.free + each.locked)) for each in read.balances]
    return derive_id("reading", *(str(part) for part in sorted(shown) + sorted(balances)))


def opening_of(balances: tuple[Balance, ...]) -> dict[str, Decimal]:
    """Balances at genesis, by asset."""
    return {balance.asset: balance.free + balance.locked for balance in balances}


def watermarks_of(read: AccountRead, known: dict[str, str]) -> dict[str, str]:
    """By instrument, the newest exec_id this reading has told (ids grow: longer, then larger)."""
    newest = dict(known)
    for fill in read.fills:
        current = newest.get(fill.instrument, "")
        newest[fill.instrument] = max(current, fill.exec_id, key=lambda exec_id: (len(exec_id), exec_id))
    return newest


def _compared(state: State, policy: Policy) -> dict[str, Decimal]:
    """The assets to compare with their tolerances: those of our instruments (others may be moved by anybody)."""
    names = dict.fromkeys([*policy.instruments, *state.holdings])
    compared = {quote_of(name): policy.quote_tolerance for name in names}
    return compared | {base_of(name): policy.base_tolerance for name in names}
