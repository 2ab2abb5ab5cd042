"""What must hold after every step of every run, and what must hold once things have settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from libs.common.codec import decode_from
from libs.common.messages import (
    Balance,
    DecisionsMade,
    EntriesProposed,
    EntryJudged,
    ExecutionReport,
    InstrumentQuarantined,
    InstrumentReleased,
    JournalPosted,
    Message,
    OrderApproved,
    OrderIntent,
    OrderSubmitting,
    Reconciled,
)
from libs.common.money import floor_to_step
from libs.runtime.replay import Part, replay
from libs.trading.venue_rules import STOP_TYPES
from tests.simulation.cover import Cover
from tests.simulation.market import spec
from tests.simulation.venue_edge import total
from tests.simulation.votes import Votes
from tests.simulation.world import CASH, INSTRUMENTS, POSITION_FRACTION_MAX, World

NOT_THERE = ("CANCELED", "REJECTED", "EXPIRED")
RESTING = ("NEW", "PARTIALLY_FILLED")
CLOSED = ("FILLED", "CANCELED", "REJECTED", "EXPIRED")
LIMIT_SLACK = Decimal("1.05")
"""Prices move between the gate's verdict and the fill."""


STEPS_MAX = 150_000
STARTS_MAX = 1_500
"""Several times what the worst healthy seed needs."""


class Broken(AssertionError):
    """An invariant does not hold; the text says which, and with what numbers."""


class Checkers:
    """Reads each new entry of the log and each new fill of the venue once."""

    def __init__(self, world: World):
        self.world = world
        self.counts: Counter[str] = Counter()
        self._read = 0
        self._fills_seen = 0
        self._orders_of: dict[str, str] = {}
        self._cl_ord_ids: set[str] = set()
        self._exec_ids: set[str] = set()
        self._booked: set[str] = set()
        self._status: dict[str, str] = {}
        self._approved: dict[str, OrderApproved] = {}
        self._quarantined: dict[str, str] = {}
        self._roles: dict[str, str] = {}
        self._accepted: set[str] = set()
        self._acceptances_read = 0
        self._expected = {"USDT": CASH}
        self._moment: tuple[int, tuple[Decimal, ...]] | None = None
        self._once_held: set[tuple[tuple[str, Decimal], ...]] = set()
        self.cover = Cover(world)
        self.votes = Votes()

    def after_step(self) -> None:
        """The invariants of every moment."""
        _hold(self.world.scheduler.steps < STEPS_MAX, "there is no end to it: something answers itself")
        starts = sum(node.starts for node in self.world.nodes)
        _hold(starts < STARTS_MAX, f"{starts} starts: services end as fast as they begin")
        self._remember_balances()
        entries = self.world.log.entries
        while self._read < len(entries):
            entry = entries[self._read]
            self._read += 1
            self._take(decode_from(entry.subject, entry.payload))
        self._take_acceptances()
        fills = self.world.venue.fills()
        if len(fills) > self._fills_seen:
            self._check_money()
            self._fills_seen = len(fills)
        for complaint in (*self.cover.complaints(), *self.votes.complaints):
            raise Broken(complaint)

    def _take_acceptances(self) -> None:
        """Each order is in the log before the venue gets it, once, and none that was given up for lost."""
        accepted = self.world.venue_edge.accepted
        for cl_ord_id in accepted[self._acceptances_read :]:
            _hold(cl_ord_id not in self._accepted, f"the venue accepted {cl_ord_id} twice")
            _hold(cl_ord_id in self._cl_ord_ids, f"the venue got {cl_ord_id}, which the log does not know")
            status = self._status.get(cl_ord_id, "")
            _hold(status not in NOT_THERE, f"{cl_ord_id} was called {status}, and then the venue got it")
            self._accepted.add(cl_ord_id)
        self._acceptances_read = len(accepted)

    def _remember_balances(self) -> None:
        """What the account holds after each fill and each transfer."""
        moment = (len(self.world.venue.fills()), tuple(self.world.incidents.transfers.values()))
        if moment != self._moment:
            self._moment = moment
            self._once_held.add(_totals(self.world.venue.balances()))

    def _take(self, message: Message) -> None:
        self.counts[type(message).__name__] += 1
        match message:
            case OrderSubmitting():
                self._take_submission(message)
            case ExecutionReport():
                self._take_report(message)
            case JournalPosted():
                self._take_entry(message)
            case OrderApproved():
                _hold(message.intent_id not in self._approved, f"intent {message.intent_id} was approved twice")
                self._approved[message.intent_id] = message
            case EntriesProposed() | EntryJudged() | DecisionsMade() | OrderIntent():
                self.votes.take(message)
            case Reconciled():
                known = _totals(message.balances) in self._once_held
                _hold(known, f"the account never held what Reconciled says: {message.balances}")
            case InstrumentQuarantined():
                self._quarantined[message.instrument] = message.cl_ord_id
            case InstrumentReleased():
                self._quarantined.pop(message.instrument, None)

    def _take_submission(self, message: OrderSubmitting) -> None:
        _hold(message.cl_ord_id not in self._cl_ord_ids, f"{message.cl_ord_id} was submitted twice")
        self._cl_ord_ids.add(message.cl_ord_id)
        if message.role == "ENTRY":
            first = self._orders_of.setdefault(message.intent_id, message.cl_ord_id)
            _hold(first == message.cl_ord_id, f"intent {message.intent_id} became two orders")

    def _take_report(self, message: ExecutionReport) -> None:
        self._status[message.cl_ord_id] = message.ord_status
        exists = message.cl_ord_id in self._accepted
        _hold(
            not (exists and message.ord_status == "REJECTED"),
            f"{message.cl_ord_id} is called rejected, the venue has it",
        )
        if message.exec_type in NOT_THERE:
            shown = self.world.venue.order(message.instrument, message.cl_ord_id)
            rests = shown is not None and shown.ord_status in RESTING
            _hold(not rests, f"{message.cl_ord_id} is called {message.exec_type}, and rests at the venue")
        if message.role in ("ENTRY", "EXIT"):
            self._status[message.intent_id] = message.ord_status
        if message.exec_type == "TRADE":
            _hold(message.exec_id not in self._exec_ids, f"fill {message.exec_id} was reported twice")
            self._exec_ids.add(message.exec_id)
            self._roles[message.exec_id] = message.role

    def _take_entry(self, message: JournalPosted) -> None:
        sums: Counter[str] = Counter()
        for posting in message.postings:
            sums[posting.asset] += posting.amount  # type: ignore[assignment]
        _hold(not any(sums.values()), f"entry {message.entry_id} does not sum to zero: {dict(sums)}")
        if message.kind == "FILL":
            _hold(message.source_id not in self._booked, f"fill {message.source_id} was booked twice")
            self._booked.add(message.source_id)

    def _check_money(self) -> None:
        """What the venue holds is what fills and transfers made of the beginning; no buy went beyond the position limit, and no
        sale took coins that no buy had brought.
        """
        venue, incidents = self.world.venue, self.world.incidents
        for fill in venue.fills()[self._fills_seen :]:
            base, quote = fill.instrument.split("-")
            sign = 1 if fill.side == "BUY" else -1
            self._expected[base] = self._expected.get(base, Decimal(0)) + sign * fill.qty
            self._expected[quote] -= sign * fill.qty * fill.px
            self._expected[fill.commission_asset] -= fill.commission
            if fill.side == "BUY":
                value = self._expected[base] * fill.px
                limit = self._equity() * POSITION_FRACTION_MAX * LIMIT_SLACK
                _hold(value <= limit, f"position of {value} in {fill.instrument} is beyond {limit}")
            _hold(self._expected[base] >= 0, f"{base}: {-self._expected[base]} sold that were not bought")
        for asset, amount in self._expected.items():
            held = total(venue, asset) - incidents.given(asset)
            _hold(held == amount, f"{asset}: venue holds {held} beside transfers, fills make {amount}")

    def _equity(self) -> Decimal:
        value = total(self.world.venue, "USDT")
        for instrument in INSTRUMENTS:
            px = Decimal(str(self.world.feed_edge.px(instrument)))
            value += total(self.world.venue, instrument.split("-")[0]) * px
        return value

    # --- at the end ---------------------------------------------------------------------------------------------

    def at_the_end(self) -> None:
        """After the calm: everybody lives, everything approved has ended, the books equal the venue, the log replays."""
        for node in self.world.nodes:
            _hold(node.process is not None and not node.process.engine.recovering, f"{node.name} does not live")
        for intent_id, approved in self._approved.items():
            status = self._status.get(intent_id)
            known = status in CLOSED or (status == "UNKNOWN" and approved.instrument in self._quarantined)
            _hold(known, f"approved intent {intent_id} of {approved.instrument} ended as {status}")
        for complaint in (*self.votes.complaints, *self.votes.undecided()):
            raise Broken(complaint)
        self._check_books()
        self._check_protection()
        self._check_replay()

    def _check_books(self) -> None:
        fills = {fill.exec_id for fill in self.world.venue.fills()}
        _hold(self._exec_ids == fills, f"reported and real fills differ: {sorted(self._exec_ids ^ fills)}")
        _hold(self._booked == fills, f"booked and real fills differ: {sorted(self._booked ^ fills)}")
        for fill in self.world.venue.fills():
            role = self._roles[fill.exec_id]
            _hold(fill.cl_ord_id not in self.world.incidents.hands or role == "EXIT", f"{fill} was booked as {role}")
        executor, ledger = self.world.executor.state(), self.world.ledger.state()
        _hold(executor.reconciled, f"not reconciled: {executor.reading.suspects}")
        for balance in self.world.venue.balances():
            asset, held = balance.asset, balance.free + balance.locked
            known = executor.opening.get(asset, Decimal(0)) + executor.flows.get(asset, Decimal(0))
            _hold(known == held, f"{asset}: the executor expects {known}, the venue holds {held}")
            posted = ledger.balances.get(asset, Decimal(0))
            _hold(posted == held, f"{asset}: the ledger has {posted}, the venue {held}")

    def _check_protection(self) -> None:
        """Every position that can be sold has resting stops of its whole size."""
        for instrument in INSTRUMENTS:
            rules = spec(instrument)
            held = total(self.world.venue, rules.base) - self.world.incidents.given(rules.base)
            held = floor_to_step(held, rules.qty_step)
            px = Decimal(str(self.world.feed_edge.px(instrument)))
            if held * px < rules.notional_min * 2:
                continue
            resting = self.world.venue.open_orders(instrument)
            stops = [each.order_qty - each.cum_qty for each in resting if each.ord_type in STOP_TYPES]
            _hold(sum(stops) == held, f"{instrument}: {held} held, {sum(stops)} protected")

    def _check_replay(self) -> None:
        parts = [Part(member.contract, member.machine_class, "simulated") for member in self.world.members]
        report = replay(lambda: self.world.log.entries, parts)
        _hold(report.is_clean, f"the log does not replay: {report.mismatches[:3]}")
        self.counts["verified"] += report.verified


def _totals(balances: Iterable[Balance]) -> tuple[tuple[str, Decimal], ...]:
    return tuple((each.asset, each.free + each.locked) for each in balances)


def _hold(condition: bool, text: str) -> None:
    if not condition:
        raise Broken(text)
