"""The log as a person reads it: one line for each decision and fill, nothing for prices and heartbeats."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import singledispatch

import msgspec
from rich.text import Text

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import (
    AccessRefused,
    AgentSignals,
    AlertRaised,
    BackupMade,
    BookRestored,
    CancelCommanded,
    DecisionsMade,
    EntryJudged,
    EpochBegan,
    EventRejected,
    ExecutionReport,
    FeedStatus,
    FlattenCommanded,
    GenesisDeclared,
    InstrumentQuarantined,
    InstrumentReleased,
    JournalPosted,
    LiveUnlocked,
    MacroOverrideChanged,
    MacroRegimes,
    Message,
    MuteCommanded,
    OperatorCommanded,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
    PriceTrustChanged,
    Reconciled,
    Regime,
    RegimeState,
    RestoreProven,
    ServiceStarted,
    Signal,
    TradingStateChanged,
)
from libs.desk.story_target import PREFIX_CHARS_MIN

SECOND_NS = 1_000_000_000
ID_CHARS_SHOWN = PREFIX_CHARS_MIN
_SIDE_STYLE = {"BUY": "green", "SELL": "red"}
_SEVERITY_STYLE = {"page": "bold white on red", "ticket": "yellow", "note": "dim"}


def line_of(message: Message) -> Text | None:
    """What to print for `message`, None for what a person need not see go by."""
    said = _said(message)
    return None if said is None else _headed(message).append_text(said)


def _headed(message: Message) -> Text:
    """When, and who says it."""
    at = datetime.fromtimestamp(message.ts_init // SECOND_NS, UTC).strftime("%m-%d %H:%M:%S")
    return Text.assemble((at, "dim"), " ", (f"{message.producer:<12}", "cyan"), " ")


class Narrator:
    """Tells the log line by line, and an opinion only when it has changed: agents repeat themselves with every bar."""

    def __init__(self) -> None:
        self._stances: dict[tuple[str, str, str], str] = {}
        self._regimes: dict[str, RegimeState] = {}
        self._fallback = ""

    def line_at(self, subject: str, payload: bytes) -> Text | None:
        """What to print for the message on `subject`."""
        try:
            message = decode_from(subject, payload)
        except BadEvent as error:
            return Text(f"not an event, on {subject}: {error}", style="bold red")
        words = self._told(message)
        return None if words is None else _headed(message).append_text(words)

    def words_of(self, message: Message) -> str:
        """What to say of `message` where it is shown otherwise when it was, and by whom; "" for what a person need not see go by."""
        words = self._told(message)
        return "" if words is None else words.plain

    def _told(self, message: Message) -> Text | None:
        match message:
            case AgentSignals():
                return _said(self._news(message))
            case MacroRegimes():
                return _said(self._moved(message))
            case DecisionsMade() if self._is_news(message):
                return _with_coverage(message, _said(message))
        return _said(message)

    def _is_news(self, message: DecisionsMade) -> bool:
        """Whether the model drives decisions again, or the reason why it does not is another."""
        if message.mode == "off":
            return False
        now = next((each.fallback for each in message.decisions if each.fallback != "rules"), self._fallback)
        was, self._fallback = self._fallback, now
        return now != was

    def _moved(self, message: MacroRegimes) -> MacroRegimes:
        changed = tuple(each for each in message.regimes if self._regimes.get(each.instrument) != each.state)
        self._regimes.update({each.instrument: each.state for each in changed})
        return msgspec.structs.replace(message, regimes=changed)

    def _news(self, message: AgentSignals) -> AgentSignals:
        changed = []
        for signal in message.signals:
            key = (message.agent_id, signal.instrument, signal.timeframe)
            if signal.ready and self._stances.get(key) != signal.stance:
                self._stances[key] = signal.stance
                changed.append(signal)
        return msgspec.structs.replace(message, signals=tuple(changed))


def _with_coverage(message: DecisionsMade, words: Text | None) -> Text:
    """The words, or some of their own, with how many decisions a model drove and why not the last."""
    fallback = next((each.fallback for each in message.decisions if each.fallback not in ("", "rules")), "")
    why = f", the rules decide alone: {fallback}" if fallback else ""
    covered = f"{message.model_driven} of {message.model_asked} decisions model-driven{why}"
    return Text(covered) if words is None else words.append(f"  ({covered})")


# --- what each kind says --------------------------------------------------------------------------------------------


@singledispatch
def _said(message: Message) -> Text | None:
    return None


@_said.register
def _(message: AgentSignals) -> Text | None:
    opinions = [_opinion(signal) for signal in message.signals if signal.ready]
    return Text("thinks ").append_text(Text(", ").join(opinions)) if opinions else None


def _opinion(signal: Signal) -> Text:
    style = {"LONG": "green", "SHORT": "red"}.get(signal.stance, "dim")
    strength = "" if signal.stance == "FLAT" else f" {signal.strength:.2f}"
    return Text.assemble(f"{signal.instrument} {signal.timeframe} ", (f"{signal.stance}{strength}", style))


@_said.register
def _(message: MacroRegimes) -> Text | None:
    regimes = [_regime(regime) for regime in message.regimes]
    return Text("sees ").append_text(Text(", ").join(regimes)) if regimes else None


def _regime(regime: Regime) -> Text:
    style = {"BULL": "green", "BEAR": "red", "UNKNOWN": "yellow"}.get(regime.state, "dim")
    return Text.assemble(f"{regime.instrument} ", (regime.state, style), " (provisional)" if regime.provisional else "")


@_said.register
def _(message: EntryJudged) -> Text | None:
    if message.outcome == "FAILED":
        return None  # the status line says how many decisions a model drove; each failure here would drown the rest
    return Text(f"expects {message.instrument} {message.expects} with p {message.p:.2f}: {message.why}")


@_said.register
def _(message: DecisionsMade) -> Text | None:
    held = [each for each in message.decisions if each.action == "HOLD" or each.size_factor != 1.0]
    words = [f"{each.instrument} {each.action} at {each.size_factor:.0%} ({each.reason})" for each in held]
    return Text("decides ").append_text(Text(", ".join(words))) if words else None


@_said.register
def _(message: OrderIntent) -> Text:
    exits = f" stop {_money(message.stop_px)} target {_money(message.target_px)}" if message.stop_px else ""
    wish = "wishes to leave" if message.reduce_only else "wishes to"
    return Text.assemble(
        f"{wish} ",
        _order(message.side, message.order_qty, message.instrument),
        f" near {_money(message.ref_px)}{exits}",
    ).append(f"  {message.reason}", style="dim")


@_said.register
def _(message: OrderApproved) -> Text:
    order = _order(message.side, message.order_qty, message.instrument)
    return Text.assemble(("APPROVED ", "bold green"), order, (f"  {len(message.checks)} checks passed", "dim"))


@_said.register
def _(message: OrderDenied) -> Text:
    order = _order(message.side, message.order_qty, message.instrument)
    return Text.assemble(("DENIED ", "bold yellow"), order, f"  {', '.join(message.reasons)}")


@_said.register
def _(message: ExecutionReport) -> Text:
    order = _order(message.side, message.order_qty, message.instrument)
    if message.exec_type == "TRADE" and message.last_qty is not None:
        fill = _order(message.side, message.last_qty, message.instrument)
        paid = f" @ {_money(message.last_px)}  fee {_money(message.commission)} {message.commission_asset}"
        name = (f"  {message.cl_ord_id[:ID_CHARS_SHOWN]}", "dim")  # enough for `bulkhead trace`
        return Text.assemble(("FILL ", "bold magenta"), (f"{message.role} ", "dim"), fill, paid, name)
    style = {"UNKNOWN": "bold white on red", "REJECTED": "bold red"}.get(message.exec_type, "blue")
    why = f"  {message.reason}" if message.reason else ""
    return Text.assemble((f"{message.exec_type} ", style), (f"{message.role} ", "dim"), order, why)


@_said.register
def _(message: PositionChanged) -> Text:
    size = "flat" if message.signed_qty == 0 else f"{message.signed_qty} @ {_money(message.avg_entry_px)}"
    earned = Text(f"{message.realized_pnl:+,.2f}", style="green" if message.realized_pnl >= 0 else "red")
    return Text.assemble(f"position {message.instrument} {size}  realised ", earned)


@_said.register
def _(message: JournalPosted) -> Text | None:
    if message.kind == "FILL":  # its position change says more
        return None
    return Text(f"books {message.kind.lower()} {message.memo}".rstrip())


@_said.register
def _(message: TradingStateChanged) -> Text:
    style = {"ACTIVE": "bold green", "REDUCING": "bold yellow"}.get(message.state, "bold red")
    return Text.assemble("trading is ", (message.state, style), f" (was {message.previous}): {message.reason}")


@_said.register
def _(message: AlertRaised) -> Text:
    return Text.assemble(
        (f"{message.severity.upper()} {message.code}", _SEVERITY_STYLE[message.severity]), f" {message.text}"
    )


@_said.register
def _(message: FeedStatus) -> Text:
    style = {"LIVE": "bold green", "STALE": "bold yellow"}.get(message.state, "bold red")
    way = "" if message.via == "SOCKETS" else " by polling"
    return Text.assemble(f"{message.venue} speaks{way}, ", (message.state, style), f" {message.reason}")


@_said.register
def _(message: PriceTrustChanged) -> Text:
    style = "green" if message.trust == "TRUSTED" else "bold yellow"
    doubt = f" {message.suspect_px:g} against {message.trusted_px:g}" if message.suspect_px else ""
    return Text.assemble(f"price of {message.instrument} is ", (message.trust, style), f" ({message.reason}){doubt}")


@_said.register
def _(message: InstrumentQuarantined) -> Text:
    return Text.assemble((f"QUARANTINED {message.instrument}", "bold red"), f" {message.reason}")


@_said.register
def _(message: InstrumentReleased) -> Text:
    return Text(f"released {message.instrument}: {message.reason}")


@_said.register
def _(message: Reconciled) -> Text | None:
    if message.clean:
        return None
    return Text.assemble(("DOES NOT AGREE WITH THE VENUE ", "bold red"), "; ".join(message.mismatches))


@_said.register
def _(message: EventRejected) -> Text:
    where = f"event {message.rejected_seq} on {message.rejected_subject}"
    return Text.assemble(("REJECTED ", "bold red"), f"{where}: {message.reason}: {message.detail}")


@_said.register
def _(message: GenesisDeclared) -> Text:
    return Text(f"the book {message.book!r} begins ({message.mode}), declared by {message.author}", style="bold")


@_said.register
def _(message: LiveUnlocked) -> Text:
    if message.grounds == "MET":
        return Text(f"live trading is unlocked: {message.paper_days} days of paper trading count", style="bold")
    return Text.assemble(
        ("LIVE BY OVERRIDE ", "bold white on red"),
        f"of {message.operator}: {message.reason} ({len(message.unmet)} not shown)",
    )


@_said.register
def _(message: OperatorCommanded) -> Text:
    return Text(f"{message.author} commands {message.command}: {message.reason}", style="bold")


@_said.register
def _(message: FlattenCommanded) -> Text:
    return Text(f"{message.author} commands FLATTEN: {message.reason}", style="bold red")


@_said.register
def _(message: CancelCommanded) -> Text:
    what = message.cl_ord_id[:ID_CHARS_SHOWN] or "every resting entry"
    return Text(f"{message.author} takes back {what}: {message.reason}", style="bold")


@_said.register
def _(message: MuteCommanded) -> Text:
    return Text(f"{message.author} wants to be told less by {message.channel} for a while", style="dim")


@_said.register
def _(message: BackupMade) -> Text:
    return Text(f"{message.author} has a backup of the log up to {message.last_seq}", style="dim")


@_said.register
def _(message: RestoreProven) -> Text:
    return Text(f"a backup up to {message.last_seq} was restored elsewhere, and proven", style="dim")


@_said.register
def _(message: BookRestored) -> Text:
    return Text(f"{message.author} has restored this log from a backup, up to {message.last_seq}", style="bold yellow")


@_said.register
def _(message: EpochBegan) -> Text:
    return Text(
        f"the log goes on in {message.epoch}; {message.closed} is sealed, up to {message.last_seq}", style="dim"
    )


@_said.register
def _(message: AccessRefused) -> Text:
    who, times = message.who or "somebody unknown", "" if message.count == 1 else f" ({message.count} times)"
    return Text.assemble(("TURNED AWAY ", "bold yellow"), f"{who} at the {message.door} door: {message.why}{times}")


@_said.register
def _(message: MacroOverrideChanged) -> Text:
    style = "bold yellow" if message.state == "IN_FORCE" else "dim"
    return Text.assemble(
        f"the override of {message.author} for {message.side} {message.instrument} is ", (message.state, style)
    )


@_said.register
def _(message: ServiceStarted) -> Text:
    return Text(f"started, code {message.code_version[:12]}", style="dim")


def _order(side: str, qty: Decimal, instrument: str) -> Text:
    return Text.assemble((side, _SIDE_STYLE[side]), f" {qty.normalize():f} {instrument}")


def _money(value: Decimal | None) -> str:
    return "-" if value is None else f"{round(value, 8).normalize():,f}"
