"""What each kind of event says in a story: a headline, below it the numbers it rests on."""

from __future__ import annotations

from decimal import Decimal

from rich.text import Text

from libs.common.messages import (
    AccountRead,
    AlertRaised,
    Answer,
    BalanceMoved,
    BarRevised,
    BaselineAccepted,
    BaselineDeclared,
    BreakerChanged,
    CapitalMoved,
    Check,
    EquityChanged,
    EventRejected,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    InstrumentQuarantined,
    InstrumentReleased,
    JournalHeadDeclared,
    JournalPosted,
    MessageSent,
    OrderAnswered,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderLookedUp,
    OrderSubmitting,
    PairAnswered,
    PersonNotified,
    PositionChanged,
    PriceTrustChanged,
    ProjectionBreakerChanged,
    ProtectionImprovised,
    Reconciled,
    ReplaceAnswered,
    ServiceStopping,
    TimerFired,
    VenueChecked,
    VenueFill,
    VenueReported,
)
from libs.desk import agent_words, operator_words  # noqa: F401  their words are said by the same function
from libs.desk.saying import Details, said, time_of
from libs.desk.verdicts import measured


@said.register
def _(message: FeedBars, instruments: tuple[str, ...]) -> tuple[str, Details]:
    bars = [bar for bar in message.bars if not instruments or bar.instrument in instruments]
    lines = [
        f"{bar.instrument} {bar.timeframe} open {bar.open:g} high {bar.high:g} low {bar.low:g} close {bar.close:g}"
        f" volume {bar.volume:g}"
        for bar in bars
    ]
    return f"{len(message.bars)} bars closed at {time_of(message.end_ts)}", lines


@said.register
def _(message: FeedMarks, instruments: tuple[str, ...]) -> tuple[str, Details]:
    marks = [mark for mark in message.marks if not instruments or mark.instrument in instruments]
    return "prices", [f"{mark.instrument} bid {mark.bid_px:g} ask {mark.ask_px:g}" for mark in marks]


@said.register
def _(message: PriceTrustChanged, instruments: tuple[str, ...]) -> tuple[str, Details]:
    numbers = f"trusted {message.trusted_px:g}, for stops {message.protective_px:g}"
    doubt = f", in doubt {message.suspect_px:g}" if message.suspect_px else ""
    headline = f"price of {message.instrument} is {message.trust} (was {message.before}): {message.reason}"
    return headline, [f"{numbers}{doubt}, band {100 * message.band:.3g} %"]


@said.register
def _(message: BarRevised, instruments: tuple[str, ...]) -> tuple[str, Details]:
    lines = [
        f"{word} open {bar.open:g} high {bar.high:g} low {bar.low:g} close {bar.close:g} volume {bar.volume:g}"
        for word, bar in (("left as", message.said), ("is now", message.now_said))
    ]
    return f"{message.said.venue} tells the {message.said.timeframe} bar of {message.instrument} otherwise", lines


@said.register
def _(message: OrderIntent, instruments: tuple[str, ...]) -> tuple[str, Details]:
    exits = f"stop {_money(message.stop_px)} target {_money(message.target_px)}"
    terms = f"{message.ord_type} {message.time_in_force} limit {_money(message.limit_px)} near {_money(message.ref_px)}"
    lines = [f"intent {message.intent_id}", f"{terms} {'reduce only' if message.reduce_only else exits}"]
    return f"{_order(message.side, message.order_qty, message.instrument)}: {message.reason}", lines


@said.register
def _(message: OrderApproved, instruments: tuple[str, ...]) -> tuple[str, Details]:
    order = _order(message.side, message.order_qty, message.instrument)
    signed = f"signed with key {message.key_id}" if message.signature else "not signed"
    return f"APPROVED {order}, {signed}", [_check(check) for check in message.checks]


@said.register
def _(message: OrderDenied, instruments: tuple[str, ...]) -> tuple[str, Details]:
    order = _order(message.side, message.order_qty, message.instrument)
    return f"DENIED {order}: {', '.join(message.reasons)}", [_check(check) for check in message.checks]


def _check(check: Check) -> Text:
    mark = ("passed  ", "green") if check.passed else ("FAILED  ", "bold red")
    value, limit = measured(check.code, check.value), measured(check.code, check.limit)
    return Text.assemble(mark, f"{check.code:<26} {value}  limit {limit}")


@said.register
def _(message: OrderSubmitting, instruments: tuple[str, ...]) -> tuple[str, Details]:
    terms = f"{message.ord_type} {message.time_in_force}"
    pxs = f"limit {_money(message.limit_px)} stop {_money(message.stop_px)}"
    order = _order(message.side, message.order_qty, message.instrument)
    return f"{message.role} {order} {terms}", [f"order {message.cl_ord_id}", pxs]


@said.register
def _(message: ExecutionReport, instruments: tuple[str, ...]) -> tuple[str, Details]:
    names = f"order {message.cl_ord_id} venue order {message.venue_order_id or '-'}"
    if message.exec_type == "TRADE" and message.last_qty is not None:
        fill = _order(message.side, message.last_qty, message.instrument)
        paid = f"commission {_money(message.commission)} {message.commission_asset} {message.liquidity_side}"
        headline = f"{message.role} {fill} @ {_money(message.last_px)}, now {message.ord_status}"
        return headline, [f"{names} exec {message.exec_id}", f"{paid}, {_filled(message)}"]
    order = _order(message.side, message.order_qty, message.instrument)
    why = f": {message.reason}" if message.reason else ""
    return f"{message.exec_type} {message.role} {order}, now {message.ord_status}{why}", [names, _filled(message)]


def _filled(message: ExecutionReport) -> str:
    return f"{_plain(message.cum_qty)} of {_plain(message.order_qty)} filled at {_money(message.avg_px)} on average"


@said.register
def _(message: OrderAnswered, instruments: tuple[str, ...]) -> tuple[str, Details]:
    why = " ".join(part for part in (message.code, message.detail) if part)
    headline = f"the venue says {message.outcome} to {message.request_id.partition(':')[0]}{': ' + why if why else ''}"
    return headline, [f"order {message.cl_ord_id}", *(_fill(fill) for fill in message.fills)]


@said.register
def _(message: OrderLookedUp, instruments: tuple[str, ...]) -> tuple[str, Details]:
    status = f", it is {message.order.ord_status}" if message.order else ""
    lines = [f"order {message.cl_ord_id} {message.detail}".rstrip(), *(_fill(fill) for fill in message.fills)]
    return f"looked up: {message.outcome}{status}", lines


@said.register
def _(message: VenueReported, instruments: tuple[str, ...]) -> tuple[str, Details]:
    lines = [] if message.fill is None else [_fill(message.fill)]
    if message.order is None:
        return f"reports on {message.instrument}", lines
    shown = message.order
    order = _order(shown.side, shown.order_qty, shown.instrument)
    named = f"order {shown.cl_ord_id} venue order {shown.venue_order_id}"
    return f"reports {order} is {shown.ord_status}, {_plain(shown.cum_qty)} filled", [named, *lines]


def _fill(fill: VenueFill) -> str:
    paid = f"{_plain(fill.commission)} {fill.commission_asset}"
    return f"fill {fill.exec_id}: {_order(fill.side, fill.qty, fill.instrument)} @ {_money(fill.px)} commission {paid}"


@said.register
def _(message: PairAnswered | ReplaceAnswered, instruments: tuple[str, ...]) -> tuple[str, Details]:
    why = " ".join(part for part in (message.code, message.detail) if part)
    headline = f"the venue says {message.outcome} to {message.request_id.partition(':')[0]}{': ' + why if why else ''}"
    return headline, [*(f"order {each.cl_ord_id} is {each.ord_status}" for each in message.orders)]


@said.register
def _(message: ProtectionImprovised, instruments: tuple[str, ...]) -> tuple[str, Details]:
    order = _order("SELL", message.order_qty, message.instrument)
    return f"without the log: {message.role} {order}, {message.outcome}", [f"order {message.cl_ord_id}"]


@said.register
def _(message: VenueChecked, instruments: tuple[str, ...]) -> tuple[str, Details]:
    if not message.ok:
        return f"checking the venue failed: {message.detail}", ()
    rights = f"may trade {message.can_trade}, may withdraw {message.can_withdraw}"
    return f"the key {rights}, bound to an address {message.ip_restricted}", [f"clock {message.clock_drift_ms} ms"]


@said.register
def _(message: BalanceMoved | CapitalMoved, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{_plain(message.amount)} {message.asset} without a trade", ()


@said.register
def _(message: BreakerChanged | ProjectionBreakerChanged, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"breaker {getattr(message, 'name', 'projection')} is {message.state}: {message.reason}", ()


@said.register
def _(message: BaselineAccepted, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.author} takes the venue's balances for the truth: {message.reason}", ()


@said.register
def _(message: BaselineDeclared, instruments: tuple[str, ...]) -> tuple[str, Details]:
    told = message.baseline
    lines = [f"{each.metric}: {each.count} samples, mean {each.mean:.4g}" for each in told.metrics]
    return f"{message.author} holds the book against {told.source or 'nothing'}", lines


@said.register
def _(message: AccountRead, instruments: tuple[str, ...]) -> tuple[str, Details]:
    if not message.ok:
        return f"reading the account failed: {message.detail}", ()
    return f"read: {len(message.open_orders)} open orders, {len(message.fills)} recent fills", ()


@said.register
def _(message: Answer, instruments: tuple[str, ...]) -> tuple[str, Details]:
    words = {
        "RequestExpired": "never sent, it was too old",
        "RequestInterrupted": "interrupted, its outcome is unknown",
    }
    return words.get(type(message).__name__, type(message).__name__), [f"request {message.request_id}"]


@said.register
def _(message: JournalPosted, instruments: tuple[str, ...]) -> tuple[str, Details]:
    lines = [f"{each.account:<22} {each.amount:+f} {each.asset}" for each in message.postings]
    place = f"entry {message.number} of the journal" if message.number else "from before the journal's chain"
    return f"{message.kind} {message.memo}", [*lines, place]


@said.register
def _(message: JournalHeadDeclared, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"the books of {message.day} end with entry {message.number}, equity {_money(message.equity)}", [
        message.digest
    ]


@said.register
def _(message: PositionChanged, instruments: tuple[str, ...]) -> tuple[str, Details]:
    held = "flat" if message.signed_qty == 0 else f"{_plain(message.signed_qty)} @ {_money(message.avg_entry_px)}"
    return f"{message.instrument} {held}, realised {_money(message.realized_pnl)}", ()


@said.register
def _(message: EquityChanged, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.equity:,.2f} (cash {message.balance:,.2f}, drawdown {message.drawdown:.2%})", ()


@said.register
def _(message: PersonNotified, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.level} to people: {message.text}", ()


@said.register
def _(message: MessageSent, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"by {message.channel}: {'delivered' if message.ok else f'failed, {message.detail}'}", ()


@said.register
def _(message: AlertRaised, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.severity} {message.code}: {message.text}", ()


@said.register
def _(message: EventRejected, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"event {message.rejected_seq} refused, {message.reason}: {message.detail}", ()


@said.register(InstrumentQuarantined)
@said.register(InstrumentReleased)
def _(message: InstrumentQuarantined | InstrumentReleased, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.instrument}: {message.reason}", [f"order {message.cl_ord_id}"]


@said.register
def _(message: Reconciled, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return "books and venue agree" if message.clean else "books and venue DO NOT AGREE", message.mismatches


@said.register
def _(message: ServiceStopping, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.instance} was told to stop", ()


@said.register
def _(message: TimerFired, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return message.name, ()


def _order(side: str, qty: Decimal, instrument: str) -> str:
    return f"{side} {_plain(qty)} {instrument}"


def _money(value: Decimal | None) -> str:
    return "-" if value is None else f"{value.normalize():,f}"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
