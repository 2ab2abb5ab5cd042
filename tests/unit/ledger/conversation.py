"""A conversation with the ledger: events in, what it says out. Its memory is frozen and thawed between any two events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from libs.common.codec import decode_from, encode
from libs.common.messages import (
    Balance,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    Mark,
    Message,
    Reconciled,
)
from libs.common.subjects import subject_of
from libs.runtime.core import Core, Output
from services.ledger.machine import LedgerMachine

SECOND = 1_000_000_000
START = 1_723_161_600 * SECOND
D = Decimal


class Conversation:
    """Drives the real core: metadata, rejection and replay are the live ones."""

    def __init__(self, settings: LedgerMachine.Settings | None = None):
        self.core = Core("ledger", LedgerMachine, settings or LedgerMachine.Settings())
        self.now = START
        self.seq = 0
        self.said: list[Message] = []

    def tell(self, event: Message, *, after_s: float = 0.1) -> list[Message]:
        """The outputs that follow `event`, which is told `after_s` later than the last one."""
        self.now += round(after_s * SECOND)
        self.seq += 1
        event = msgspec.structs.replace(
            event,
            id=event.id or f"{self.seq:032x}",
            ts_event=self.now,
            ts_init=self.now,
            producer=event.producer or event.said_by,
        )
        event = decode_from(subject_of(event), encode(event))
        results = self.core.step(self.seq, event)
        thawed = Core("ledger", LedgerMachine, LedgerMachine.Settings())
        thawed.restore(self.core.snapshot())
        assert thawed.digest() == self.core.digest()
        self.core = thawed
        said = [result.message for result in results if isinstance(result, Output)]
        self.said += said
        return said

    def opened(self, **owned: str) -> Conversation:
        """The same conversation after the feed's rules, a first mark of BTC at 60,000 and the opening balances."""
        self.tell(status())
        self.tell(marks(BTC_USDT=60000.0))
        self.tell(reconciled(**(owned or {"USDT": "100000"})))
        return self

    @property
    def books(self) -> Any:
        """The machine's memory, to look at."""
        return self.core.machine.state


def spec(instrument: str) -> InstrumentSpec:
    base, quote = instrument.split("-")
    return InstrumentSpec(
        instrument=instrument,
        base=base,
        quote=quote,
        px_tick=D("0.01"),
        qty_step=D("0.00001"),
        qty_min=D("0.00001"),
        notional_min=D(5),
        taker_fee=D("0.001"),
        maker_fee=D("0.001"),
    )


def status(*instruments: str) -> FeedStatus:
    specs = tuple(spec(each) for each in instruments or ("BTC-USDT", "ETH-USDT"))
    return FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=specs)


def marks(**mid_pxs: float) -> FeedMarks:
    found = tuple(
        Mark(
            instrument=name.replace("_", "-"),
            bid_px=px - 0.5,
            ask_px=px + 0.5,
            last_px=px,
            protective_px=px,
            trust="TRUSTED",
            ts=START,
        )
        for name, px in mid_pxs.items()
    )
    return FeedMarks(venue="binance", as_of=START, marks=found)


def reconciled(*, clean: bool = True, **owned: str) -> Reconciled:
    balances = tuple(Balance(asset=asset, free=D(total), locked=D(0)) for asset, total in owned.items())
    return Reconciled(clean=clean, balances=balances, mismatches=() if clean else ("something",))


def trade(
    exec_id: str, side: str, qty: str, px: str, commission: str = "0", asset: str = "USDT", **changes: Any
) -> ExecutionReport:
    """A fill of an order, as the executor reports it."""
    report = ExecutionReport(
        correlation_id="c" * 32,
        cl_ord_id="a" * 32,
        intent_id="b" * 32,
        venue_order_id="77",
        exec_id=exec_id,
        role="ENTRY",
        exec_type="TRADE",
        ord_status="FILLED",
        instrument="BTC-USDT",
        side=side,  # type: ignore[arg-type]
        order_qty=D(qty),
        cum_qty=D(qty),
        leaves_qty=D(0),
        avg_px=D(px),
        last_qty=D(qty),
        last_px=D(px),
        commission=D(commission),
        commission_asset=asset,
        liquidity_side="TAKER",
        reason="",
    )
    return msgspec.structs.replace(report, **changes)
