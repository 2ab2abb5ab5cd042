"""Why a position is left, in the order in which the reasons are looked at.

flatten (the gate ordered it), target (the bid has reached it), time (held for `hold_max`), short (opinions say so and are not clearly outweighed),
flat (all of them ready and FLAT for so many bars), decay (no opinion has been for it for so long). Stops are the executor's business:
they rest at the venue, and trail there.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import InstrumentSpec
from libs.common.money import ZERO, floor_to_step, round_px, to_decimal
from libs.runtime.machine import Effect
from services.signal_agents.portfolio.book import Book
from services.signal_agents.portfolio.desk import Desk
from services.signal_agents.portfolio.joining import speaks_against
from services.signal_agents.portfolio.sizing import is_tradable
from services.signal_agents.portfolio.wishes import Cause, Leave, sell_all


def leave(desk: Desk, instrument: str, cause: Cause) -> list[Effect]:
    """The wish to sell all of it, if there is something to sell and a reason to."""
    book, spec = desk.book(instrument), desk.state.specs.get(instrument)
    if spec is None or book.signed_qty <= ZERO or not book.is_free or desk.now < book.exit_after:
        return []
    why = _why(desk, book, spec)
    qty = floor_to_step(book.signed_qty, spec.qty_step)
    if why is None or not is_tradable(qty, why.px, spec):
        return []
    return desk.wish(sell_all(instrument, qty, why, cause), ZERO)


def _why(desk: Desk, book: Book, spec: InstrumentSpec) -> Leave | None:
    quote, plan = desk.fresh_quote(book), book.plan
    story = plan.story if plan is not None else ""
    bid = None if quote is None else to_decimal(quote.bid_px)  # rounded to the tick only for those who leave
    if bid is not None:
        if desk.state.flatten_reason:
            return Leave("flatten", story, _on_tick(bid, spec))
        target_px = plan.target_px if plan is not None else None
        if target_px is not None and bid >= target_px and _on_tick(bid, spec) >= target_px:
            return Leave("target", story, _on_tick(bid, spec))
        if desk.settings.hold_max and desk.now - book.held_since >= desk.settings.hold_max:
            return Leave("time", story, _on_tick(bid, spec))
    against = _opinions_against(desk, book, spec, bid)
    if against is not None:
        return against
    decay = desk.settings.decay
    if bid is not None and decay and desk.now - max(book.backed_at, book.held_since) >= decay:
        return Leave("decay", story, _on_tick(bid, spec))
    return None


def _opinions_against(desk: Desk, book: Book, spec: InstrumentSpec, bid: Decimal | None) -> Leave | None:
    """What the opinions say, in the story of the one that leads; at its close where no bid is known."""
    opinions, bars = desk.binding(book), desk.settings.exit_flat_bars
    if not opinions:
        return None
    short = next((opinion for opinion in opinions.values() if opinion.stance == "SHORT"), None)
    is_short = short is not None and speaks_against(desk.voices(book), desk.terms.ttl)
    are_all = len(opinions) == len(desk.settings.agents)
    is_flat = bars > 0 and are_all and all([opinion.flat_bars >= bars for opinion in opinions.values()])
    if not is_short and not is_flat:
        return None
    lead = short if is_short and short is not None else next(iter(opinions.values()))
    px = _on_tick(bid if bid is not None else to_decimal(lead.close_px), spec)
    return Leave("short" if is_short else "flat", lead.story, px)


def _on_tick(px: Decimal, spec: InstrumentSpec) -> Decimal:
    return round_px(px, spec.px_tick, up=False)
