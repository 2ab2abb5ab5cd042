"""The whole stack in one process under one seed: eight services, a venue, a market, and an operator.

The operator says `genesis` once, and in the calm takes the venue's balances for right where a transfer was told to nobody. Under every
eighth seed the book is held against a baseline that no market can keep up with.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.approval import public_key_hex, sign
from libs.common.codec import encode
from libs.common.ids import derive_id
from libs.common.messages import (
    Baseline,
    BaselineAccepted,
    BaselineDeclared,
    GenesisDeclared,
    Message,
    ModelMode,
    OrderApproved,
)
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from libs.runtime.breaker import BreakerLimits
from libs.runtime.engine import Append
from libs.runtime.simulate import Member, Node
from libs.runtime.simulated_log import Faults, Scheduler, SimulatedLog
from libs.trading.baseline import METRICS, distribution
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
from services.signal_agents.llm.contract import CONTRACT as LLM
from services.signal_agents.llm.machine import LlmMachine
from services.signal_agents.llm.prompt import Params
from services.signal_agents.portfolio.contract import CONTRACT as PORTFOLIO
from services.signal_agents.portfolio.leash import Grip
from services.signal_agents.portfolio.machine import PortfolioMachine
from services.signal_agents.portfolio.sizing import Limits as SizingLimits
from services.signal_agents.trend.contract import CONTRACT as TREND
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.track import Bounds, Shape
from tests.simulation.edges import ModelEdge, PeopleEdge
from tests.simulation.incidents import Incidents, draw
from tests.simulation.market import FeedEdge, spec
from tests.simulation.plans import Plan, plan_of
from tests.simulation.venue_edge import VenueEdge, VenueFaults

BEGIN = 1_735_689_600 * SECOND
"""2025-01-01 00:00 UTC."""
INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
CASH = Decimal(100_000)
LAST_WORDS = 15 * SECOND
"""The market stands still before the end: what it did last is to be known by then."""
POSITION_FRACTION_MAX = Decimal("0.20")
_BEST = {"slippage": -99.0, "stop_slippage": -99.0, "latency": 0.0, "return": 999.0, "hit_rate": 1.0}
DREAM = Baseline(
    source="a dream", from_ts=0, until_ts=1, metrics=tuple(distribution(each, [_BEST[each]] * 500) for each in METRICS)
)
"""Whatever really happens is worse."""


MODES: tuple[ModelMode, ...] = ("confirm", "off", "shadow", "confirm", "tilt")
"""How the portfolio listens to the model, seed by seed."""


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
        closes = self.end - LAST_WORDS
        self.feed_edge = FeedEdge(self.scheduler, self.venue, self.venue_edge.updated, INSTRUMENTS, seed, closes)
        self.policy = self._policy()
        self.members = self._members()
        self.nodes = [Node(member, self.log, self.scheduler, self.plan.faults) for member in self.members]
        self.executor = next(node for node in self.nodes if node.member.contract is EXECUTOR)
        self.ledger = next(node for node in self.nodes if node.member.contract is LEDGER)
        planned = draw(seed, self.plan.incidents, INSTRUMENTS, BEGIN, BEGIN + self.plan.storm_minutes * MINUTE)
        self.incidents = Incidents(
            planned,
            self.scheduler,
            self.log,
            self.venue,
            self.venue_edge,
            self.feed_edge,
            self._known_qty,
            lambda instrument: {each.ord_type for each in self.venue.open_orders(instrument)},
        )
        self._operator_tail = 0

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
        for minutes in (3, 6):
            self.scheduler.at(self.scheduler.now + minutes * MINUTE, self._accept_transfers)
        self.scheduler.run_until(self.end, after_step)

    def _known_qty(self, instrument: str) -> Decimal:
        """What the executor knows to hold as a position, while it lives."""
        state = self.executor.state()
        holding = state.holdings.get(instrument) if state else None
        return holding.qty if holding is not None and holding.owner else Decimal(0)

    def _declare(self) -> None:
        self._say("genesis", GenesisDeclared(book="sim", mode="paper", author="simulation", **self._stamps("genesis")))
        if self.seed % 8 == 0:
            stamps = self._stamps("baseline declared")
            self._say("baseline_declared", BaselineDeclared(baseline=DREAM, author="simulation", **stamps))

    def _accept_transfers(self) -> None:
        """The books were not told of every transfer: a person has looked, and takes the venue for right."""
        state = self.executor.state()
        wanted = {"USDT": CASH}
        for asset, amount in self.incidents.transfers.items():
            wanted[asset] = wanted.get(asset, Decimal(0)) + amount
        if state is None or any(state.opening.get(asset) != amount for asset, amount in wanted.items()):
            stamps = self._stamps(f"baseline {self.scheduler.now}")
            self._say("baseline", BaselineAccepted(reason="a transfer nobody told", author="simulation", **stamps))

    def _stamps(self, name: str) -> dict[str, Any]:
        now, own = self.scheduler.now, derive_id(name)
        return {"id": own, "correlation_id": own, "producer": "ops.cli", "ts_event": now, "ts_init": now}

    def _say(self, suffix: str, message: Message) -> None:
        append = Append(f"ops.cli.{suffix}", encode(message), message, self._operator_tail)
        self._operator_tail = self.log.append(append, "ops.cli")

    def _policy(self) -> OrderExecutorMachine.Settings:
        """The executor's settings: its breakers stay in force, and so lenient that a storm of faults is traded through."""
        return OrderExecutorMachine.Settings(
            gate_public_key=public_key_hex(self._key()),
            instruments=INSTRUMENTS,
            venue="sim",
            notional_max=CASH / 4,
            crash_starts_max=1_000_000,
            losses_in_a_row_max=50,
            replaces=self.seed % 4 != 0,
            trail_bps=40 if self.seed % 2 else 0,
            trail_step_bps=10,
            check_interval_ms=300_000,
            call_limits=BreakerLimits(
                failure_share_max=0.9, failures_in_a_row_max=15, slow_share_max=2.0, open_ns_max=20 * SECOND
            ),
            reject_limits=BreakerLimits(
                failure_share_max=2.0, failures_in_a_row_max=5, slow_share_max=2.0, open_ns_max=60 * SECOND
            ),
        )

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(Random(self.seed).randbytes(32))

    def _members(self) -> list[Member]:
        key = self._key()

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
            hold_max=20 * MINUTE,
            decay=8 * MINUTE,
            grip=Grip(mode=MODES[self.seed % len(MODES)], wait=5 * SECOND),
        )
        risk = RiskLimits(
            instruments=INSTRUMENTS,
            venue="sim",
            price_age_ms_max=15_000,
            position_fraction_max=POSITION_FRACTION_MAX,
            cluster_fraction_max=Decimal(1),
            correlated_fraction_max=Decimal(1),
            cooldown_ms=60_000,
            losses_in_a_row_max=4,
            losses_pause_ms=300_000,
            daily_loss_max=Decimal("0.15"),
            approval_ttl_ms=20_000,
            bars=True,
            bar_timeframe="1m",
            stop_atr_max=Decimal(12),
            day_volume_share_max=Decimal(1),
            slippage_max=Decimal("0.05"),
            signals=True,
            signal_age_share_max=Decimal("0.75"),
        )
        return [
            Member(
                FEED,
                MarketFeedMachine,
                MarketFeedMachine.Settings(venue="sim", instruments=INSTRUMENTS),
                self.feed_edge,
            ),
            Member(TREND, TrendMachine, trend),
            Member(
                LLM,
                LlmMachine,
                LlmMachine.Settings(params=Params(model="sim")),
                ModelEdge(self.scheduler, self.seed),
            ),
            Member(PORTFOLIO, PortfolioMachine, portfolio),
            Member(RISK, RiskMachine, risk, seal=seal),
            Member(EXECUTOR, OrderExecutorMachine, self.policy, self.venue_edge),
            Member(LEDGER, LedgerMachine, LedgerMachine.Settings()),
            Member(NOTIFIER, NotifierMachine, NotifierMachine.Settings(), PeopleEdge(self.scheduler)),
        ]
