"""What each answer of the venue means, and what no answer means: submissions, cancels, look-ups.

submit, pair      CONFIRMED / REJECTED / UNKNOWN    interrupted: UNKNOWN    expired: provably never sent
replace           the same, or HALFWAY              interrupted: UNKNOWN    expired: provably never sent
cancel, unpair    CONFIRMED / REJECTED / UNKNOWN    interrupted, expired: asked again
lookup            FOUND / NOT_FOUND / FAILED        interrupted, expired: asked again

What an answer says of the venue, well or unwell, is noted by its breaker (`breakers`), and stops nothing here.
"""

from __future__ import annotations

from libs.common.messages import OrderAnswered, OrderLookedUp, PairAnswered, ReplaceAnswered
from services.order_executor import account, breakers, inquiries, venue_check
from services.order_executor.hearing import hear, move, unheard
from services.order_executor.orders import Order
from services.order_executor.refusals import kind_of
from services.order_executor.sending import ask_cancel
from services.order_executor.transitions import Fact
from services.order_executor.turn import Turn, delay_of


def submit_answered(turn: Turn, order: Order, answer: OrderAnswered) -> None:
    """The venue's answer to a submission."""
    _note(turn, breakers.SUBMIT, answer)
    if answer.outcome == "CONFIRMED" and answer.order is not None:
        turn.state.holding(order.instrument).market_closed = False
        if order.role == "ENTRY":
            breakers.note_acceptance(turn)
        hear(turn, order, answer.order, answer.fills)
    else:
        _not_taken(turn, order, answer)


def pair_answered(turn: Turn, answer: PairAnswered) -> None:
    """The venue's answer about a pair: to its submission, or to its cancel."""
    kind, _, stop_id = answer.request_id.partition(":")
    stop = turn.state.orders.get(stop_id)
    if stop is None:
        turn.reject("UNKNOWN_ORDER", f"an answer for {answer.request_id[:80]}, which is no order of ours")
        return
    both = [stop, *turn.state.pair_of(stop)]
    _note(turn, breakers.SUBMIT if kind == "pair" else breakers.CANCEL, answer)
    turn.touched[stop.instrument] = None
    if kind == "unpair":
        turn.touched[stop.instrument] = None  # whoever is forced to sell waits for this, however it ended
        for order in both:
            order.cancel_asked = False
            order.taken_back_at = turn.now
            order.cancel_wanted &= not _changed_nothing(answer)
    if answer.outcome == "CONFIRMED":
        if kind == "pair":
            turn.state.holding(stop.instrument).market_closed = False
        for order in both:
            fills = tuple(fill for fill in answer.fills if fill.cl_ord_id == order.cl_ord_id)
            hear(turn, order, next((each for each in answer.orders if each.cl_ord_id == order.cl_ord_id), None), fills)
    for order in both:
        if kind == "unpair" and not order.is_closed and not order.closing:
            inquiries.begin(turn, order, needs_word=True)
        elif kind == "pair" and answer.outcome != "CONFIRMED":
            _not_taken(turn, order, answer)
        elif kind == "pair" and order.status == "PENDING_NEW":  # the answer does not speak of it
            unheard(turn, order, "the answer about the pair does not name it")


def replace_answered(turn: Turn, answer: ReplaceAnswered) -> None:
    """The venue's answer to a stop sent in the place of another."""
    new = turn.state.orders.get(answer.request_id.partition(":")[2])
    if new is None:
        turn.reject("UNKNOWN_ORDER", f"an answer for {answer.request_id[:80]}, which is no order of ours")
        return
    _note(turn, breakers.SUBMIT, answer)
    turn.touched[new.instrument] = None
    replaced = _no_longer_asked(turn, new)
    for order in replaced:
        order.cancel_wanted &= not _changed_nothing(answer)
    for order in (*replaced, new):
        fills = tuple(fill for fill in answer.fills if fill.cl_ord_id == order.cl_ord_id)
        shown = next((each for each in answer.orders if each.cl_ord_id == order.cl_ord_id), None)
        if shown is not None or fills:
            hear(turn, order, shown, fills)
    for order in turn.state.replaced_by(new):
        inquiries.begin(turn, order, needs_word=True)
    if answer.outcome == "HALFWAY":
        new.replaces = ""  # what it was to replace is gone: from here on it is a stop like any other
    if answer.outcome != "CONFIRMED":
        _not_taken(turn, new, answer)
    elif new.status == "PENDING_NEW":
        unheard(turn, new, "the answer about the replacement does not name it")


def _not_taken(turn: Turn, order: Order, answer: OrderAnswered | PairAnswered | ReplaceAnswered) -> None:
    reason = f"{answer.code}: {answer.detail}"
    if answer.outcome in ("REJECTED", "HALFWAY") and order.status in ("PENDING_NEW", "UNKNOWN"):
        move(turn, order, Fact.REFUSED, reason, answer.code)
    else:  # also a refusal of what the user stream has shown already: the venue must explain itself
        unheard(turn, order, reason)


def _note(turn: Turn, name: str, answer: OrderAnswered | PairAnswered | ReplaceAnswered) -> None:
    """A definite answer is a good one, whatever it says, unless it says that the venue or our access to it is unwell."""
    well = answer.outcome == "CONFIRMED"
    if answer.outcome in ("REJECTED", "HALFWAY"):
        well = not _is_unwell(answer)
    breakers.note(turn, name, answer.request_id, ok=well)


def _is_unwell(answer: OrderAnswered | PairAnswered | ReplaceAnswered) -> bool:
    return kind_of(answer.code, answer.detail) in ("TRANSIENT", "KEY", "CLOCK")


def _changed_nothing(answer: OrderAnswered | PairAnswered | ReplaceAnswered) -> bool:
    """Whether what we asked to be taken back certainly stands as before: the request was refused without a look at it."""
    return answer.outcome == "REJECTED" and _is_unwell(answer)


def cancel_answered(turn: Turn, order: Order, answer: OrderAnswered) -> None:
    """The venue's answer to a cancel; whatever is not a clear CANCELED is looked up."""
    _note(turn, breakers.CANCEL, answer)
    turn.touched[order.instrument] = None
    order.cancel_asked = False
    order.taken_back_at = turn.now
    order.cancel_wanted &= not _changed_nothing(answer)
    if answer.outcome == "CONFIRMED" and answer.order is not None:
        hear(turn, order, answer.order, answer.fills)
    if not order.is_closed and not order.closing:
        inquiries.begin(turn, order, needs_word=True)


def looked_up(turn: Turn, order: Order, answer: OrderLookedUp) -> None:
    """The venue's answer to a look-up: found is a fact, not found a hint, failed is nothing."""
    breakers.note(turn, breakers.QUERY, answer.request_id, ok=answer.outcome != "FAILED")
    asked_at, order.looked_at = order.looked_at, 0
    inquiry = order.inquiry
    if answer.outcome == "FOUND" and answer.order is not None:
        if inquiry is not None:
            inquiry.needs_word = False
            inquiry.not_found = inquiry.verdict_read = 0
        hear(turn, order, answer.order, answer.fills)
        _survive(turn, order)
    elif answer.outcome == "NOT_FOUND" and inquiry is not None and inquiries.is_final(turn, order, asked_at):
        inquiry.not_found += 1
        if inquiry.not_found >= 2 and not inquiry.verdict_read:
            inquiry.verdict_read = account.ask(turn)
    inquiries.again(turn, order)
    turn.touched[order.instrument] = None  # what is asked for in vain covers nothing: the deadline begins


def _survive(turn: Turn, order: Order) -> None:
    """The order lives on after its cancel failed: it is open again, and the next cancel waits a little longer."""
    if order.status != "PENDING_CANCEL" or order.cancel_asked or order.closing:
        return
    order.cancel_wanted = False
    order.cancel_fails += 1
    order.cancel_not_before = turn.now + delay_of(turn.policy.retry_delays_ms, order.cancel_fails)
    turn.set_timer(f"again:{order.cl_ord_id}", order.cancel_not_before)
    move(turn, order, Fact.STILL_PART if order.cum_qty else Fact.STILL_WHOLE, "its cancel did not happen")


def unanswered(turn: Turn, request_id: str, *, expired: bool) -> None:
    """A request was interrupted by a crash, or its time had passed before it was sent."""
    turn.state.asked.pop(request_id, None)
    kind, _, cl_ord_id = request_id.partition(":")
    order = turn.state.orders.get(cl_ord_id)
    if kind == account.REQUEST_ID:
        account.unanswered(turn)
    elif kind == venue_check.REQUEST_ID:
        venue_check.unanswered(turn)
    elif order is None:
        return
    elif kind in ("submit", "pair"):
        for each in [order, *turn.state.pair_of(order)]:
            if expired:
                move(turn, each, Fact.LAPSED, "older than its valid_until: never sent")
            else:
                unheard(turn, each, "the executor stopped before the venue answered")
    elif kind == "replace":
        _replacement_unanswered(turn, order, expired=expired)
    elif kind in ("cancel", "unpair"):
        both = [order, *(turn.state.pair_of(order) if kind == "unpair" else [])]
        for each in both:
            each.cancel_asked = False
        still = next((each for each in both if not each.is_closed), None)
        if still is not None:
            ask_cancel(turn, still)
    elif kind == "lookup":
        order.looked_at = 0
        if order.inquiry is not None:
            inquiries.ask(turn, order)


def _replacement_unanswered(turn: Turn, new: Order, *, expired: bool) -> None:
    """Expired: the old order stands as it stood. Interrupted: either may stand, and each is asked for."""
    _no_longer_asked(turn, new)
    for order in turn.state.replaced_by(new):
        if expired:
            _survive(turn, order)
        if not expired or any(each.cum_qty for each in turn.state.pair_of(order)):  # the other one's fill has ended it
            inquiries.begin(turn, order, needs_word=True)
    if expired:
        move(turn, new, Fact.LAPSED, "older than its valid_until: never sent")
    else:
        unheard(turn, new, "the executor stopped before the venue answered")


def _no_longer_asked(turn: Turn, new: Order) -> list[Order]:
    """The request to replace is over: the orders it was to take back, ended or not, are asked for by nobody any more."""
    old = turn.state.orders.get(new.replaces)
    both = [] if old is None else [old, *turn.state.pair_of(old)]
    for order in both:
        order.cancel_asked = False
        # `back_off` paces the next replacement; a cancel that an exit needs does not wait so long.
        order.cancel_fails = 0
    return both
