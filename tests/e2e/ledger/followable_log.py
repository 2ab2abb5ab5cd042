"""A log as the services would write it, with everything the projection stores, and a bus-less way to follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.codec import encode
from libs.common.messages import (
    AgentSignals,
    Ballot,
    Check,
    Decision,
    DecisionsMade,
    EntryJudged,
    EquityChanged,
    Message,
    ModelAnswered,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
    Signal,
    TradingStateChanged,
)
from libs.common.subjects import subject_of
from libs.runtime.adapter import AdapterContext, LogEntry
from tests.unit.common.sampling import sample_of
from tests.unit.ledger.conversation import START, Conversation, marks, trade

D = Decimal


class LogWriter:
    """Appends messages as their writers would, and lets the real ledger answer."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.seq = 0
        self._ledger = Conversation().opened(USDT="1000000")
        for message in self._ledger.said:
            self._append(message)

    def add(self, message: Message, *, after_s: float = 0.1) -> None:
        """Append `message`, and what the ledger says to it."""
        self._append(message)
        for said in self._ledger.tell(message, after_s=after_s):
            self._append(said)

    def _append(self, message: Message) -> None:
        self.seq += 3  # what the projection does not read lies between
        producer = message.producer or message.said_by.replace("*", "trend")
        changes: dict[str, Any] = {"producer": producer, "ts_init": START + self.seq}
        changes["ts_event"] = message.ts_event or START + self.seq
        changes["id"] = message.id or f"{self.seq:032x}"
        changes["correlation_id"] = message.correlation_id or f"{self.seq:032x}"
        message = msgspec.structs.replace(message, **changes)
        self.entries.append(LogEntry(self.seq, subject_of(message), encode(message)))


def a_log(cycles: int) -> list[LogEntry]:
    """`cycles` wishes: every fifth denied, the others ordered and filled in two parts, commission in base."""
    writer = LogWriter()
    writer.add(TradingStateChanged(state="ACTIVE", previous="HALTED", reason="genesis", author="ops"))
    for number in range(cycles):
        _cycle(writer, number)
        if number == cycles // 2:
            writer.add(marks(BTC_USDT=60000.0), after_s=86_400)
    return writer.entries


def _cycle(writer: LogWriter, number: int) -> None:
    intent_id, cl_ord_id = f"{number:032x}", f"{number + 1_000_000:032x}"
    side = "BUY" if number % 2 == 0 else "SELL"
    px = D(60000) + number
    signal = Signal(
        instrument="BTC-USDT",
        timeframe="1m",
        ready=True,
        stance="LONG",
        strength=0.5,
        close_px=float(px),
        atr=12.25,
        evidence={"ema_fast": 1 / 3, "adx": 25.5},
    )
    writer.add(
        AgentSignals(agent_id="trend", end_ts=START, signals=(signal, msgspec.structs.replace(signal, ready=False)))
    )
    for said in _votes(intent_id):
        writer.add(said)
    wish: dict[str, Any] = {"instrument": "BTC-USDT", "side": side, "intent_id": intent_id, "order_qty": D("0.01")}
    terms: dict[str, Any] = {"ord_type": "MARKET", "time_in_force": "IOC", "limit_px": None, "reduce_only": False}
    exits: dict[str, Any] = {"ref_px": px, "stop_px": px * D("0.98"), "target_px": None}
    valid_until = START + 10**10
    writer.add(OrderIntent(**wish, **terms, **exits, valid_until=valid_until, reason="a 'quoted' reason; --"))
    check = Check(code="MAX_NOTIONAL", passed=number % 5 != 0, value="600.00", limit="5000")
    if number % 5 == 0:
        writer.add(OrderDenied(**wish, reasons=("MAX_NOTIONAL",), checks=(check,)))
        return
    writer.add(OrderApproved(**wish, **terms, **exits, valid_until=valid_until, checks=(check,)))
    writer.add(
        OrderSubmitting(**wish, **terms, cl_ord_id=cl_ord_id, role="ENTRY", stop_px=None, valid_until=valid_until)
    )
    order: dict[str, Any] = {"cl_ord_id": cl_ord_id, "intent_id": intent_id, "order_qty": D("0.01"), "avg_px": px}
    new = trade("", side, "0.01", str(px), exec_type="NEW", ord_status="NEW", **_but(order, avg_px=None), cum_qty=D(0))
    writer.add(msgspec.structs.replace(new, last_qty=None, last_px=None, commission=None))
    for part, (qty, cum, status) in enumerate((("0.004", "0.004", "PARTIALLY_FILLED"), ("0.006", "0.010", "FILLED"))):
        fill = trade(f"{number}-{part}", side, qty, str(px), "0.00000400", "BTC", ord_status=status, **order)
        writer.add(msgspec.structs.replace(fill, cum_qty=D(cum), leaves_qty=D("0.01") - D(cum)))


def _votes(intent_id: str) -> tuple[Message, ...]:
    """What a model was asked and said, and what was decided."""
    ballot = Ballot(agent_id="trend", kind="RULE", stance="LONG", p=0.6, weight=1.0, freshness=1.0, size_without=-0.0)
    decision = Decision(
        instrument="BTC-USDT",
        action="ENTER",
        reason="",
        size_factor=1 / 3,
        regime_share=1.0,
        score=0.5,
        ballots=(ballot, msgspec.structs.replace(ballot, agent_id="llm", kind="MODEL")),
        driver="MODEL",
        fallback="",
        intent_id=intent_id,
    )
    answered = msgspec.structs.replace(sample_of(ModelAnswered), id="", http_status=200, tokens_in=900, tokens_out=70)
    judged = msgspec.structs.replace(sample_of(EntryJudged), id="")
    return (
        msgspec.structs.replace(answered, latency_ms=840),
        judged,
        DecisionsMade(end_ts=START, mode="confirm", decisions=(decision,), model_driven=1, model_asked=1),
    )


def _but(fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**fields, **changes}


def poisons() -> list[LogEntry]:
    """Events that cannot be stored, each between two that can; `seq` from 1 on."""
    equity = EquityChanged(
        balance=D(1),
        equity=D(1),
        realized_pnl=D(0),
        unrealized_pnl=D(0),
        high_water_mark=D(1),
        drawdown=D(0),
        producer="ledger",
    )
    denied = OrderDenied(
        intent_id="i", instrument="BTC-USDT", side="BUY", order_qty=D(1), reasons=(), checks=(), producer="risk"
    )
    events = [
        ("ledger.equity", encode(msgspec.structs.replace(equity, balance=D("1E+999999")))),
        ("ledger.equity", encode(msgspec.structs.replace(equity, ts_event=2**70))),
        ("risk.denied.BTC-USDT", encode(msgspec.structs.replace(denied, ts_event=-(2**64)))),
        ("ledger.equity", b'{"type":"equity_changed.v1"}'),
        ("ledger.equity", b"\xff\x00"),
        ("ledger.position.BTC-USDT", encode(equity)),
    ]
    entries = []
    for index, (subject, payload) in enumerate(events):
        entries.append(LogEntry(2 * index + 1, subject, payload))
        entries.append(LogEntry(2 * index + 2, "ledger.equity", encode(equity)))
    return entries


class FollowableLog:
    """A log that can grow while it is followed."""

    def __init__(self, entries: list[LogEntry]):
        self.entries = list(entries)
        self.asked_from: list[int] = []
        self._grown = asyncio.Event()

    def extend(self, entries: list[LogEntry]) -> None:
        """Append `entries`; followers get them."""
        self.entries += entries
        self._grown.set()

    async def read(self, durable: str, from_seq: int) -> AsyncIterator[LogEntry]:
        """What `AdapterContext.read_log` promises: the entries from `from_seq` on, in order, for ever."""
        assert durable == "ledger-sql"
        self.asked_from.append(from_seq)
        index = 0
        while True:
            while index < len(self.entries):
                entry = self.entries[index]
                index += 1
                if entry.seq >= from_seq:
                    yield entry
            self._grown.clear()
            await self._grown.wait()


class FixedClock:
    """A clock that stands still, one minute after the log's events."""

    def now(self) -> int:
        return START + 60 * 10**9

    async def sleep_until(self, due: int) -> None:
        raise NotImplementedError


class Lines:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    error = info

    def said(self, event: str) -> list[dict[str, Any]]:
        """The fields of every line that says `event`."""
        return [fields for each, fields in self.lines if each == event]


def context_of(
    log: FollowableLog, lines: Lines, said: list[Message] | None = None, state: Any = None
) -> AdapterContext:
    """What the shell would lend the adapter; what it emits is in `said`."""

    async def holds_lease() -> bool:
        return True

    def refuse(message: Message) -> None:
        raise AssertionError(f"a projection has nothing for the market stream, got {message}")

    return AdapterContext(
        emit=(said if said is not None else []).append,
        publish_market=refuse,
        clock=FixedClock(),
        state=lambda: state,
        logger=lines,
        holds_lease=holds_lease,
        read_log=log.read,
    )
