"""A venue that keeps its books and a way to it that loses, repeats, delays and reorders, driven by a list of small steps."""

from __future__ import annotations

from decimal import Decimal as D

from libs.common.messages import (
    Answer,
    BalanceMoved,
    BaselineAccepted,
    FeedStatus,
    GenesisDeclared,
    Message,
    OrderSubmitting,
    ServiceStarted,
    ServiceStopping,
    TimerFired,
    UserStreamChanged,
    VenueFill,
    VenueReported,
)
from libs.common.money import ZERO, floor_to_step
from libs.trading.venue import NewOrder, SpotVenue, VenueRejected, VenueUpdate
from services.order_executor.guards import uncovered
from services.order_executor.venue_desk import act, answered, confirmed, is_action, kind_at_venue, told, untold
from tests.unit.order_executor.desk import BTC, SECOND, SPECS, Desk, approval, exit_approval, marks

STEPS = (
    "buy",
    "rest",
    "sell",
    "part",
    "price",
    "rise",
    "spike",
    "answer",
    "lose",
    "mute",
    "report",
    "repeat",
    "drop",
    "timer",
    "crash",
    "wait",
    "stale",
    "hand",
    "deposit",
    "halt",
    "refuse",
)


class World(Desk):
    """A desk whose requests reach a `SpotVenue`, or do not."""

    def __init__(self, *, replaces: bool = True, trail_bps: int = 0) -> None:
        super().__init__(
            opened=False,
            price_band_bps=5_000,
            notional_max=D(100_000),
            mark_age_ms_max=3_600_000,
            orders_kept=10_000,
            replaces=replaces,
            trail_bps=trail_bps,
        )
        self.venue = SpotVenue({spec.instrument: spec for spec in SPECS}, {"USDT": D(1_000_000)})
        self.waiting: list[VenueReported | BalanceMoved] = []
        self.hands = 0
        self.explained = False
        self.refusing_until = 0
        self.names: dict[str, None] = {}
        self.count = 0
        self.px = 50_000.0
        self.oversold: list[str] = []
        self._quote()
        self.open_book()

    def guarded(self, number: int) -> World:
        """A position under its stop (or, with an odd `number`, its pair), of which all is known."""
        self.step("buy", number)
        while self.requests or self.waiting:
            self.step("answer" if self.requests else "report", 0)
        return self

    def open_book(self) -> None:
        """Rules, prices, genesis, the first reading."""
        self.hear(FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=SPECS))
        self.hear(marks(self.px, ts=self.now))
        self.hear(GenesisDeclared(book="main", mode="paper", author="me", producer="ops.cli"))
        while not self.state.reconciled:
            self.step("answer" if self.requests else "timer", 0)

    def step(self, kind: str, number: int) -> None:
        """Take one step; `number` picks among what is possible."""
        self.now += (number + 1) * SECOND // 20
        getattr(self, f"_{kind}")(number)

    def hear(self, message: Message) -> None:
        """Tell the machine, and check what must hold after every single turn."""
        self.tell(message)
        orders = [each for each in self.state.orders.values() if each.instrument == BTC]
        assert self.state.live_orders(BTC) == [each for each in orders if not each.is_closed or each.lacks_fills]
        for submitting in self.published(OrderSubmitting):
            assert submitting.cl_ord_id not in self.names, "one client id, two orders"
            self.names[submitting.cl_ord_id] = None
        held = self.state.holdings[BTC].qty if BTC in self.state.holdings else ZERO
        sells = [each for each in self.state.live_orders(BTC) if each.side == "SELL" and each.role != "TARGET"]
        replaced = {each.replaces for each in sells if not each.venue_order_id}  # of the two the venue lets one sell
        resting = [each for each in sells if each.venue_order_id and each.cl_ord_id not in replaced]
        selling = sum((each.leaves_qty for each in resting), ZERO)
        fresh = sum((each.leaves_qty for each in sells if not each.venue_order_id and not each.taken_back_at), ZERO)
        sending = [each for each in self.published(OrderSubmitting) if each.side == "SELL"]
        if sending and not self.state.holdings[BTC].forced:  # forced: whoever may still be there has been taken back
            assert fresh + selling <= held, "more on its way out than is held"

    def settle(self) -> None:
        """Heal everything and let it come to rest."""
        for _ in range(400):
            if self.requests:
                self._answer(0)
            elif self.waiting:
                self._report(0)
            elif self._under_way():
                self._timer(0)
            else:
                break
        self.hear(ServiceStarted(instance="i", code_version="c", settings={}, state_digest="d"))
        for round_ in range(100):
            while self.requests:
                self._answer(0)
            if self.state.reconciled and not self._under_way():
                break
            if round_ == 50 and not self.state.reconciled:  # what was lost of others' doings, a person has to explain
                self.explained = True
                self.hear(BaselineAccepted(reason="looked at it", author="me", producer="ops.cli"))
            self._timer(0)

    def _under_way(self) -> bool:
        state = self.state
        waiting = any(each.is_unsettled or each.inquiry for each in state.orders.values())
        return waiting or (bool(uncovered(state)) and not self._is_dust())

    def _is_dust(self) -> bool:
        holding = self.state.holdings[BTC]
        return holding.qty * (holding.stop_px or D(1)) < SPECS[0].notional_min

    # --- steps ------------------------------------------------------------------------------------------------------

    def _buy(self, number: int) -> None:
        self.count += 1
        px = D(str(self.px))
        target = px * D("1.01") if number % 2 else None
        values = {"ref_px": px, "stop_px": px * D("0.99"), "target_px": target}
        self.hear(self._approved(approval, f"b{self.count}", order_qty=D("0.01") * (number + 1), **values))

    def _rest(self, number: int) -> None:
        self.count += 1
        px = D(str(self.px))
        target = px * D("1.005") if number % 2 else None
        limit_px = px - 10 * number
        values = {
            "ord_type": "LIMIT",
            "limit_px": limit_px,
            "ref_px": px,
            "stop_px": px * D("0.98"),
            "target_px": target,
        }
        self.hear(self._approved(approval, f"r{self.count}", order_qty=D("0.5"), **values))

    def _sell(self, number: int) -> None:
        self.count += 1
        self.hear(self._approved(exit_approval, f"s{self.count}", order_qty=D("0.01") * (number + 1)))

    def _part(self, number: int) -> None:
        """Sell some tenths of what is held, so that the rest is to be guarded meanwhile."""
        self.count += 1
        held = self.state.holdings[BTC].qty if BTC in self.state.holdings else ZERO
        if held > ZERO:
            self.hear(self._approved(exit_approval, f"s{self.count}", order_qty=held * (number + 1) / 10))

    def _approved(self, make, intent: str, **values):
        return make(intent, ts_event=self.now, ts_init=self.now, valid_until=self.now + 10 * SECOND, **values)

    def _price(self, number: int) -> None:
        self.px = round(self.px * (1 + (number - 3.5) / 250), 2)
        self._quote()
        self.hear(marks(self.px, ts=self.now))

    def _rise(self, number: int) -> None:
        """The price goes up a little: what trails follows it."""
        self.px = round(self.px * 1.0035, 2)
        self._quote()
        self.hear(marks(self.px, ts=self.now))

    def _spike(self, number: int) -> None:
        """The venue sees a price that our feed does not: a stop or a target is reached, and all is as before."""
        px, self.px = self.px, round(self.px * (1.012 if number % 2 else 0.988), 2)
        self._quote()
        self.px = px
        self._quote()

    def _quote(self) -> None:
        self._moved(self.venue.on_quote(BTC, self.px - 1, 0.03, self.px + 1, 0.03, self.now))
        self._moved(self.venue.on_trade(BTC, self.px, 0.2, self.now))

    def _answer(self, number: int) -> None:
        """A request arrives, and its answer comes back."""
        if self.requests:
            self.hear(self._perform(self._pick(number)))

    def _lose(self, number: int) -> None:
        """A request is lost on its way; the adapter's deadline passes."""
        if self.requests:
            self.hear(self._silence(self._pick(number)))

    def _mute(self, number: int) -> None:
        """A request arrives, and its answer is lost."""
        if self.requests:
            request_id = self._pick(number)
            self._perform(request_id)
            self.hear(self._silence(request_id))

    def _stale(self, number: int) -> None:
        """A request is too old when its turn comes."""
        if self.requests:
            self.expire(self._pick(number))

    def _report(self, number: int) -> None:
        if self.waiting:
            self.hear(self.waiting.pop(number % len(self.waiting)))

    def _repeat(self, number: int) -> None:
        if self.waiting:
            self.hear(self.waiting[number % len(self.waiting)])

    def _drop(self, number: int) -> None:
        """The user stream breaks: what it had to say is lost."""
        self.waiting.clear()
        self.hear(UserStreamChanged(connected=False, reason="reset"))
        self.hear(UserStreamChanged(connected=True, reason="again"))

    def _timer(self, number: int) -> None:
        if self.timers:
            name = sorted(self.timers, key=lambda each: (self.timers[each], each))[number % len(self.timers)]
            self.now = max(self.now, self.timers[name])
            due = self.timers.pop(name)
            self.hear(TimerFired(name=name, due=due, ts_init=self.now, producer="exec"))

    def _crash(self, number: int) -> None:
        """The process dies: some of its requests have arrived, none is answered."""
        for place, request_id in enumerate(list(self.requests)):
            if (number >> (place % 3)) & 1:
                self._perform(request_id)
        lost = list(self.requests)
        self.hear(ServiceStarted(instance="i", code_version="c", settings={}, state_digest="d"))
        for request_id in lost:
            self.interrupt(request_id)

    def _hand(self, number: int) -> None:
        """A person cancels what is in his way and sells a part of what the account holds."""
        free, locked = next((each.free, each.locked) for each in self.venue.balances() if each.asset == "BTC")
        qty = floor_to_step((free + locked) * (number + 1) / 8, SPECS[0].qty_step)
        if qty * D(str(self.px)) < 10 * SPECS[0].notional_min:
            return
        self.hands += 1
        for shown in self.venue.open_orders(BTC):
            held = self.venue.booked(BTC, shown.cl_ord_id)
            if shown.side == "SELL" and held is not None and held.is_open:
                self._moved(self.venue.cancel(BTC, shown.cl_ord_id, self.now))
        sale = NewOrder(cl_ord_id=f"web{self.hands}", instrument=BTC, side="SELL", ord_type="MARKET", order_qty=qty)
        self._moved(self.venue.submit(sale, self.now))

    def _deposit(self, number: int) -> None:
        """Money comes in or goes out; the news of it takes its way like all others."""
        amount = D((number - 4) * 100 + 50)
        self.venue.transfer("USDT", amount)
        self.waiting.append(BalanceMoved(asset="USDT", amount=amount))

    def _halt(self, number: int) -> None:
        """A planned stop, and a start after it."""
        self.hear(ServiceStopping(instance="i"))
        self._crash(number)

    def _refuse(self, number: int) -> None:
        """For a while the venue takes no stops."""
        self.refusing_until = self.now + number * 3 * SECOND

    def _wait(self, number: int) -> None:
        self.now += number * 4 * SECOND

    # --- the venue --------------------------------------------------------------------------------------------------

    def _pick(self, number: int) -> str:
        return list(self.requests)[number % len(self.requests)]

    def _moved(self, updates: list[VenueUpdate]) -> None:
        for update in updates:
            self.waiting.append(VenueReported(instrument=update.order.instrument, order=update.order, fill=update.fill))

    def _perform(self, request_id: str) -> Answer:
        request = self.requests[request_id]
        if not is_action(request):
            return told(self.venue, request_id, request)
        kind = kind_at_venue(request)
        try:
            if (kind == "PAIR" or kind.startswith("STOP")) and self.now < self.refusing_until:
                raise VenueRejected(-1013, "Filter failure: no stops today")
            updates, refused = act(self.venue, request, self.now)  # type: ignore[arg-type]
        except VenueRejected as rejected:
            sells = kind == "PAIR" or getattr(request, "side", "BUY") == "SELL"
            if sells and "balance" in rejected.message and not self.state.holdings[BTC].forced and not self.hands:
                self.oversold.append(request_id)
            return answered(request_id, request, "REJECTED", code=str(rejected.code), detail=rejected.message)  # type: ignore[arg-type]
        self._moved(updates)
        return confirmed(self.venue, request_id, request, updates, refused)  # type: ignore[arg-type]

    def executions(self, cl_ord_id: str) -> list[VenueFill]:
        """What the venue executed of an order."""
        return [each for each in self.venue.fills(BTC) if each.cl_ord_id == cl_ord_id]

    def _silence(self, request_id: str) -> Answer:
        return untold(request_id, self.requests[request_id], "deadline", code="TIMEOUT")
