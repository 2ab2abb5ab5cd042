"""A desk to talk to: a machine with a gate, a feed and a venue whose answers the test dictates."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.approval import public_key_hex, sign
from libs.common.ids import cl_ord_id_of, derive_id
from libs.common.messages import (
    AccountRead,
    AlertRaised,
    Balance,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentSpec,
    Mark,
    Message,
    OrderAnswered,
    OrderApproved,
    OrderLookedUp,
    PairAnswered,
    ReplaceAnswered,
    RequestExpired,
    RequestInterrupted,
    ServiceStarted,
    VenueChecked,
    VenueFill,
    VenueOrder,
    VenueReported,
)
from libs.runtime.machine import Perform, Request
from services.order_executor.machine import OrderExecutorMachine
from tests.playbook import START, Playbook

GATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
BTC = "BTC-USDT"
ETH = "ETH-USDT"
SECOND = 1_000_000_000
MS = 1_000_000
VALID_S = 10
SPECS = tuple(
    InstrumentSpec(
        instrument=name,
        base=name.split("-")[0],
        quote="USDT",
        px_tick=D("0.01"),
        qty_step=D("0.00001"),
        qty_min=D("0.00001"),
        notional_min=D(5),
        taker_fee=D("0.001"),
        maker_fee=D("0.001"),
    )
    for name in (BTC, ETH)
)


def policy(**changes: Any) -> OrderExecutorMachine.Settings:
    """The settings of the tests."""
    values: dict[str, Any] = {"gate_public_key": public_key_hex(GATE), "instruments": (BTC, ETH), "venue": "binance"}
    return OrderExecutorMachine.Settings(**{**values, **changes})


def approval(intent: str = "a1", *, key: Ed25519PrivateKey = GATE, **changes: Any) -> OrderApproved:
    """A signed approval to buy 0.01 BTC at market with a stop at 49,000."""
    values: dict[str, Any] = {
        "id": derive_id("approval", intent),
        "ts_event": START,
        "ts_init": START,
        "correlation_id": f"story-{intent}",
        "producer": "risk",
        "intent_id": intent,
        "instrument": BTC,
        "side": "BUY",
        "ord_type": "MARKET",
        "time_in_force": "GTC",
        "order_qty": D("0.01"),
        "limit_px": None,
        "ref_px": D(50_000),
        "stop_px": D(49_000),
        "target_px": None,
        "reduce_only": False,
        "valid_until": START + VALID_S * SECOND,
        "checks": (),
    }
    return sign(key, OrderApproved(**{**values, **changes}))


def exit_approval(intent: str = "x1", **changes: Any) -> OrderApproved:
    """A signed approval to sell 0.01 BTC of the position at market."""
    values: dict[str, Any] = {"side": "SELL", "stop_px": None, "reduce_only": True}
    return approval(intent, **{**values, **changes})


def order(role: str, intent: str = "a1", attempt: int = 0) -> str:
    """The client id of an order."""
    return cl_ord_id_of(intent, role, attempt)


def marks(
    px: float = 50_000.0, instrument: str = BTC, ts: int = START, *, protective: float = 0.0, trust: str = "TRUSTED"
) -> FeedMarks:
    """A price; the protective one is the same unless said otherwise."""
    mark = Mark(
        instrument=instrument,
        bid_px=px - 1,
        ask_px=px + 1,
        last_px=px,
        protective_px=protective or px,
        trust=trust,  # type: ignore[arg-type]
        ts=ts,
    )
    return FeedMarks(venue="binance", as_of=ts, marks=(mark,), alive=())


def fill(exec_id: str, cl_ord_id: str, qty: str, **changes: Any) -> VenueFill:
    """An execution at 50,000 without commission."""
    values: dict[str, Any] = {
        "exec_id": exec_id,
        "cl_ord_id": cl_ord_id,
        "venue_order_id": "v-" + cl_ord_id[:6],
        "instrument": BTC,
        "side": "BUY",
        "qty": D(qty),
        "px": D(50_000),
        "commission": D(0),
        "commission_asset": "",
        "liquidity_side": "TAKER",
        "ts_event": START,
    }
    return VenueFill(**{**values, **changes})


def checked(request_id: str, **changes: Any) -> VenueChecked:
    """The venue has nothing against us."""
    values: dict[str, Any] = {
        "ok": True,
        "detail": "",
        "clock_drift_ms": 3,
        "can_trade": True,
        "can_withdraw": False,
        "ip_restricted": True,
        "maker_bps": D(10),
        "taker_bps": D(10),
        "tradable": (BTC, ETH),
    }
    return VenueChecked(request_id=request_id, **{**values, **changes})


class Desk(Playbook):
    """A machine past genesis, with rules and prices, holding 1,000,000 USDT and nothing else."""

    def __init__(self, *, opened: bool = True, **changes: Any):
        super().__init__(OrderExecutorMachine(policy(**changes)), writer="exec")
        self.requests: dict[str, Request] = {}
        if opened:
            self.tell(FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=SPECS))
            self.tell(marks()).tell(marks(2_000.0, ETH))
            self.tell(GenesisDeclared(book="main", mode="paper", author="me", producer="ops.cli"))
            self.checked()
            self.account().fire("reconcile").account()

    def tell(self, event: Message, *, now: int | None = None) -> Desk:
        """As a playbook; a request asked twice before its answer is a defect, as in the shell."""
        if hasattr(event, "request_id"):
            self.requests.pop(event.request_id, None)
        super().tell(event, now=now)
        for effect in self.effects:
            if isinstance(effect, Perform):
                assert effect.request_id not in self.requests, f"{effect.request_id} is still unanswered"
                self.requests[effect.request_id] = effect.request
        return self

    def after(self, seconds: float) -> Desk:
        """Let time pass (the next event is told later)."""
        self.now += round(seconds * SECOND)
        return self

    @property
    def state(self) -> Any:
        """The machine's memory."""
        return self.machine.state

    # --- the venue's words ------------------------------------------------------------------------------------------

    def shown(self, cl_ord_id: str, status: str = "NEW", cum: str = "0") -> VenueOrder:
        """The order as the venue shows it."""
        ours = self.state.orders[cl_ord_id]
        return VenueOrder(
            cl_ord_id=cl_ord_id,
            venue_order_id="v-" + cl_ord_id[:6],
            instrument=ours.instrument,
            side=ours.side,
            ord_type=ours.ord_type,
            ord_status=status,  # type: ignore[arg-type]
            order_qty=ours.order_qty,
            cum_qty=D(cum),
            limit_px=ours.limit_px,
            stop_px=ours.stop_px,
            ts_event=START,
        )

    def sold(self, exec_id: str, cl_ord_id: str, qty: str, **changes: Any) -> VenueFill:
        """An execution of one of our sells at 49,000."""
        return fill(exec_id, cl_ord_id, qty, **{"side": "SELL", "px": D(49_000), **changes})

    def answer(
        self,
        cl_ord_id: str,
        outcome: str,
        *fills: VenueFill,
        status: str = "NEW",
        cum: str = "",
        kind: str = "submit",
        code: str = "",
        detail: str = "as the test wants",
    ) -> Desk:
        """The venue's answer to a submission (or a cancel)."""
        total = cum or str(sum((each.qty for each in fills), D(0)))
        shown = self.shown(cl_ord_id, status, total) if outcome == "CONFIRMED" else None
        return self.tell(
            OrderAnswered(
                request_id=f"{kind}:{cl_ord_id}",
                instrument=self.state.orders[cl_ord_id].instrument,
                cl_ord_id=cl_ord_id,
                outcome=outcome,  # type: ignore[arg-type]
                order=shown,
                fills=fills,
                code=code,
                detail=detail,
            )
        )

    def pair(
        self,
        stop: str,
        outcome: str = "CONFIRMED",
        *fills: VenueFill,
        kind: str = "pair",
        statuses: tuple[str, str] = ("NEW", "NEW"),
        code: str = "",
        detail: str = "as the test wants",
    ) -> Desk:
        """The venue's answer to a pair (kind "pair") or to its cancel ("unpair"); `statuses` of the stop and the target."""
        both = [each for each in self.state.orders.values() if each.pair == stop]
        shown = tuple(
            self.shown(each.cl_ord_id, status, str(sum((f.qty for f in fills if f.cl_ord_id == each.cl_ord_id), D(0))))
            for each, status in zip(both, statuses, strict=True)
        )
        return self.tell(
            PairAnswered(
                request_id=f"{kind}:{stop}",
                instrument=both[0].instrument,
                list_id=stop,
                outcome=outcome,  # type: ignore[arg-type]
                orders=shown if outcome == "CONFIRMED" else (),
                fills=fills,
                code=code,
                detail=detail,
            )
        )

    def replacement(
        self, cl_ord_id: str, outcome: str = "CONFIRMED", code: str = "", detail: str = ""
    ) -> ReplaceAnswered:
        """What the venue may say of a stop sent in the place of another; it shows both, or (HALFWAY) the end of the old one."""
        new = self.state.orders[cl_ord_id]
        old = self.state.orders[new.replaces]
        gone = tuple(self.shown(each.cl_ord_id, "CANCELED") for each in (old, *self.state.pair_of(old)))
        return ReplaceAnswered(
            request_id=f"replace:{cl_ord_id}",
            instrument=new.instrument,
            cl_ord_id=cl_ord_id,
            replaced_id=new.replaces,
            outcome=outcome,  # type: ignore[arg-type]
            orders={"CONFIRMED": (*gone, self.shown(cl_ord_id)), "HALFWAY": gone}.get(outcome, ()),
            fills=(),
            code=code,
            detail=detail,
        )

    def replaced(self, cl_ord_id: str, outcome: str = "CONFIRMED", code: str = "", detail: str = "") -> Desk:
        """The venue says it."""
        return self.tell(self.replacement(cl_ord_id, outcome, code, detail))

    def confirm(self, cl_ord_id: str, *fills: VenueFill, status: str = "NEW") -> Desk:
        """The venue accepts an order."""
        return self.answer(cl_ord_id, "CONFIRMED", *fills, status=status)

    def canceled(self, cl_ord_id: str, cum: str = "0", *fills: VenueFill) -> Desk:
        """The venue confirms a cancel."""
        return self.answer(cl_ord_id, "CONFIRMED", *fills, status="CANCELED", cum=cum, kind="cancel")

    def look(self, cl_ord_id: str, outcome: str, *fills: VenueFill, status: str = "NEW", cum: str = "0") -> Desk:
        """The venue's answer to a look-up."""
        return self.tell(
            OrderLookedUp(
                request_id=f"lookup:{cl_ord_id}",
                instrument=self.state.orders[cl_ord_id].instrument,
                cl_ord_id=cl_ord_id,
                outcome=outcome,  # type: ignore[arg-type]
                order=self.shown(cl_ord_id, status, cum) if outcome == "FOUND" else None,
                fills=fills,
                detail="",
            )
        )

    def stream(self, shown: VenueOrder | None, execution: VenueFill | None = None) -> Desk:
        """The user stream speaks."""
        named = shown or execution
        assert named is not None
        return self.tell(VenueReported(instrument=named.instrument, order=shown, fill=execution))

    def account(
        self,
        *fills: VenueFill,
        usdt: str = "1000000",
        btc: str = "0",
        orders: tuple[VenueOrder, ...] = (),
        ok: bool = True,
    ) -> Desk:
        """The venue's answer to an account reading."""
        balances = (Balance(asset="BTC", free=D(btc), locked=D(0)), Balance(asset="USDT", free=D(usdt), locked=D(0)))
        return self.tell(
            AccountRead(
                request_id="account",
                ok=ok,
                balances=balances if ok else (),
                open_orders=orders if ok else (),
                fills=fills if ok else (),
                detail="",
            )
        )

    def checked(self, **changes: Any) -> Desk:
        """The venue's answer about our key: all is well."""
        return self.tell(checked("check", **changes))

    def interrupt(self, request_id: str) -> Desk:
        """The process died while the request was under way."""
        return self.tell(RequestInterrupted(request_id=request_id))

    def expire(self, request_id: str) -> Desk:
        """The shell refused to send a request that was too old."""
        return self.tell(RequestExpired(request_id=request_id))

    # --- situations -------------------------------------------------------------------------------------------------

    def bought(self, qty: str = "0.01", intent: str = "a1") -> Desk:
        """A position, its stop submitted and not yet answered."""
        self.tell(approval(intent, order_qty=D(qty)))
        self.confirm(order("ENTRY", intent), fill(f"e-{intent}", order("ENTRY", intent), qty), status="FILLED")
        return self

    def covered(self, qty: str = "0.01", intent: str = "a1") -> Desk:
        """A position under its stop."""
        self.bought(qty, intent).confirm(order("STOP", intent))
        return self

    def targeted(self, qty: str = "0.01") -> Desk:
        """A position under a pair: a stop at 49,000 and a target at 52,000."""
        self.tell(approval(order_qty=D(qty), target_px=D(52_000)))
        self.confirm(order("ENTRY"), fill("e-a1", order("ENTRY"), qty), status="FILLED")
        return self.pair(order("STOP"))

    def price(self, px: float, **changes: Any) -> Desk:
        """The price of BTC is this now."""
        return self.tell(marks(float(px), ts=self.now, **changes))

    def started(self) -> Desk:
        """The process begins anew."""
        return self.tell(ServiceStarted(instance="i", code_version="c", settings={}, state_digest="d"))

    def uncertain(self) -> Desk:
        """An entry nobody has answered for, quarantined."""
        self.tell(approval())
        return self.answer(order("ENTRY"), "UNKNOWN", code="TIMEOUT")

    # --- what it said -----------------------------------------------------------------------------------------------

    def reports(self) -> list[tuple[str, str, str]]:
        """(role, exec_type, ord_status) of the reports in the last answer."""
        return [(each.role, each.exec_type, each.ord_status) for each in self.published(ExecutionReport)]

    def asked(self) -> list[str]:
        """The ids of the requests in the last answer."""
        return [effect.request_id for effect in self.effects if isinstance(effect, Perform)]

    def request(self, kind: type[Request]) -> Any:
        """The one request of this type in the last answer."""
        (found,) = [e.request for e in self.effects if isinstance(e, Perform) and isinstance(e.request, kind)]
        return found

    def alerts(self) -> list[tuple[str, str]]:
        """(code, severity) of the alerts in the last answer."""
        return [(each.code, each.severity) for each in self.published(AlertRaised)]
