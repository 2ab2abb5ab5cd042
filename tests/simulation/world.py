"""The whole stack in one process under one seed: seven services, a venue, a market, an operator who says `genesis` once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.approval import public_key_hex, sign
from libs.common.codec import encode
from libs.common.ids import derive_id
from libs.common.messages import Answer, GenesisDeclared, Message, MessageSent, OrderApproved
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from libs.runtime.core import Asked
from libs.runtime.engine import Append
from libs.runtime.simulate import Member, Node
from libs.runtime.simulated_log import Faults, Scheduler, SimulatedLog
from libs.trading.venue import SpotVenue
from services.ledger.contract import CONTRACT as LEDGER
from services.ledger.machine import LedgerMachine
from services.market_feed.contract import CONTRACT as FEED
from services.market_feed.machine import MarketFeedMachine
from services.notifier.contract import CONTRACT as NOTIFIER
from services.notifier.machine import NotifierMachine
from services.order_executor.contract import CONTRACT as EXECUTOR
from services.order_executor.machine import OrderExecutorMachine
from services.risk_gate.contract import CONTRACT as RISK
from services.risk_gate.limits import Limits as RiskLimits
from services.risk_gate.machine import RiskMachine
from services.signal_agents.portfolio.contract import CONTRACT as PORTFOLIO
from services.signal_agents.portfolio.machine import PortfolioMachine
from services.signal_agents.portfolio.sizing import Limits as SizingLimits
from services.signal_agents.trend.contract import CONTRACT as TREND
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.track import Bounds, Shape
from tests.simulation.market import FeedEdge, spec
from tests.simulation.venue_edge import VenueEdge, VenueFaults

BEGIN = 1_735_689_600 * SECOND
"""2025-01-01 00:00 UTC."""
INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
CASH = Decimal(100_000)
POSITION_FRACTION_MAX = Decimal("0.20")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed puts the system through: `storm_minutes` with these faults, then a calm in which all must settle."""

    storm_minutes: int
    calm_minutes: int
    faults: Faults
    venue_faults: VenueFaults


HARSH = Plan(
    storm_minutes=45,
    calm_minutes=12,
    faults=Faults(
        append_lost=0.002,
        ack_lost=0.004,
        crash_per_step=0.004,
        snapshot_per_step=0.02,
        snapshot_lost=0.5,
        restart_ms_max=2_000.0,
    ),
    venue_faults=VenueFaults(
        request_lost=0.02,
        answer_lost=0.08,
        query_fails=0.05,
        report_repeated=0.3,
        stream_drops=0.2,
        deadline_ms=1_000.0,
    ),
)
"""Much goes wrong, quickly: this is what finds planted bugs first."""


def plan_of(seed: int) -> Plan:
    """The faults of a seed: some seeds are calm, some lose messages, some crash all the time; every fifth is harsh."""
    if seed % 5 == 0:
        return HARSH
    random = Random(f"plan {seed}")
    harshness = random.choice((0.0, 0.3, 1.0, 1.0, 3.0))
    faults = Faults(
        append_lost=0.001 * harshness,
        ack_lost=0.001 * harshness,
        crash_per_step=0.001 * harshness * random.random(),
        freeze_share=random.random() * 0.5,
        snapshot_per_step=0.02,
        snapshot_lost=random.random(),
        delay_ms_max=random.choice((2.0, 10.0, 100.0)),
        restart_ms_max=random.choice((500.0, 5_000.0, 60_000.0)),
    )
    venue_faults = VenueFaults(
        request_lost=0.03 * harshness * random.random(),
        answer_lost=0.05 * harshness * random.random(),
        query_fails=0.1 * harshness * random.random(),
        rejects=0.03 * harshness * random.random(),
        report_repeated=0.3 * random.random(),
        stream_drops=0.02 * harshness * random.random(),
    )
    return Plan(storm_minutes=random.randint(60, 120), calm_minutes=12, faults=faults, venue_faults=venue_faults)


class PeopleEdge:
    """The notifier's world: a channel that always works."""

    def __init__(self, scheduler: Scheduler):
        self._scheduler = scheduler

    def opened(self, node: Node) -> None:
        """Nothing to connect."""

    def closed(self) -> None:
        """Nothing to close."""

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        """Deliver a little later."""

        def sent() -> None:
            now = self._scheduler.now
            reply(
                MessageSent(request_id=asked.request_id, channel="sim", ok=True, detail="", ts_event=now, ts_init=now)
            )

        self._scheduler.soon(50.0, sent)


class World:
    """One seed's system, market and venue."""

    def __init__(self, seed: int, plan: Plan | None = None):
        self.seed = seed
        self.plan = plan or plan_of(seed)
        self.scheduler = Scheduler(seed, BEGIN)
        self.log = SimulatedLog()
        self.venue = SpotVenue({each: spec(each) for each in INSTRUMENTS}, {"USDT": CASH})
        self.venue_edge = VenueEdge(self.scheduler, self.venue, self.plan.venue_faults)
        self.end = BEGIN + (self.plan.storm_minutes + self.plan.calm_minutes) * MINUTE
        self.feed_edge = FeedEdge(self.scheduler, self.venue, self.venue_edge.updated, INSTRUMENTS, seed, self.end)
        self.members = self._members()
        self.nodes = [Node(member, self.log, self.scheduler, self.plan.faults) for member in self.members]

    def start(self) -> None:
        """Everything begins at once; the operator declares the book a second later."""
        for node in self.nodes:
            node.start()
        self.scheduler.at(BEGIN + SECOND, self._declare)

    def run_storm(self, after_step: Callable[[], None]) -> None:
        """The part of the run in which things go wrong."""
        self.scheduler.run_until(BEGIN + self.plan.storm_minutes * MINUTE, after_step)

    def run_calm(self, after_step: Callable[[], None]) -> None:
        """No more faults: whoever is dead comes back, whatever is unknown must become known."""
        for node in self.nodes:
            node.faults = Faults()
        self.venue_edge.faults = VenueFaults()
        self.scheduler.run_until(self.end, after_step)

    def _declare(self) -> None:
        message = GenesisDeclared(
            id=derive_id("genesis"),
            correlation_id=derive_id("genesis"),
            producer="ops.cli",
            book="sim",
            mode="paper",
            author="simulation",
            ts_event=self.scheduler.now,
            ts_init=self.scheduler.now,
        )
        self.log.append(Append("ops.cli.genesis", encode(message), message, 0), "ops.cli")

    def _members(self) -> list[Member]:
        key = Ed25519PrivateKey.from_private_bytes(Random(self.seed).randbytes(32))

        def seal(message: Message) -> Message:
            return sign(key, message) if isinstance(message, OrderApproved) else message

        shape = Shape(timeframe="1m", ema_fast_span=5, ema_slow_span=15, wilder_n=7)
        trend = TrendMachine.Settings(
            shape=shape, bounds=Bounds(adx_threshold=15.0, rsi_overbought=90.0), gap_bars_max=10
        )
        sizing = SizingLimits(
            risk_per_trade=Decimal("0.005"),
            position_max=Decimal("0.15"),
            stop_atr=Decimal(3),
            target_atr=Decimal(4),
            slip=Decimal("0.0005"),
        )
        portfolio = PortfolioMachine.Settings(
            agents=("trend",),
            limits=sizing,
            exit_flat_bars=3,
            signal_age_max=30 * SECOND,
            quote_age_max=15 * SECOND,
            intent_valid=30 * SECOND,
            denial_cooldown=20 * SECOND,
            exit_retry=2_000 * MILLISECOND,
        )
        risk = RiskLimits(
            instruments=INSTRUMENTS,
            venue="sim",
            price_age_ms_max=15_000,
            position_fraction_max=POSITION_FRACTION_MAX,
            approval_ttl_ms=20_000,
        )
        executor = OrderExecutorMachine.Settings(
            gate_public_key=public_key_hex(key), instruments=INSTRUMENTS, venue="sim", notional_max=CASH / 4
        )
        return [
            Member(
                FEED,
                MarketFeedMachine,
                MarketFeedMachine.Settings(venue="sim", instruments=INSTRUMENTS),
                self.feed_edge,
            ),
            Member(TREND, TrendMachine, trend),
            Member(PORTFOLIO, PortfolioMachine, portfolio),
            Member(RISK, RiskMachine, risk, seal=seal),
            Member(EXECUTOR, OrderExecutorMachine, executor, self.venue_edge),
            Member(LEDGER, LedgerMachine, LedgerMachine.Settings()),
            Member(NOTIFIER, NotifierMachine, NotifierMachine.Settings(), PeopleEdge(self.scheduler)),
        ]
