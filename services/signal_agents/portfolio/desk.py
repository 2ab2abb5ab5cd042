"""What the portfolio was told to do, everything it remembers, and the few questions that entering and leaving both ask of it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import InstrumentSpec, OrderIntent, Regime
from libs.common.money import ZERO, floor_to_step, to_decimal
from libs.runtime.machine import Effect, Publish, SetTimer
from services.signal_agents.portfolio.book import Book, Opinion, Quote, Wish
from services.signal_agents.portfolio.exits import Zones
from services.signal_agents.portfolio.joining import Terms, Voice
from services.signal_agents.portfolio.leash import Grip
from services.signal_agents.portfolio.scorebook import Scorebook
from services.signal_agents.portfolio.sizing import Limits, is_tradable

INTENT_TIMER = "intent."
JUDGE_TIMER = "judge."
HOUR = 3_600_000_000_000
FULL, NEUTRAL_SHARE, OVERRIDE_SHARE = Decimal(1), Decimal("0.5"), Decimal("0.25")
"""The gate's limits shrink by the same shares; a wish that did not would be denied."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can change a wish. Durations are ns; 0 switches `exit_flat_bars`, `hold_max` and `decay` off.

    `quorum` 0 wants an opinion of every agent that is named. `uses_levels`: stops and targets by zones, where some are known;
    `uses_regimes`: less risk where the week says so.
    """

    agents: tuple[str, ...]
    limits: Limits
    exit_flat_bars: int
    signal_age_max: int
    quote_age_max: int
    intent_valid: int
    denial_cooldown: int
    exit_retry: int
    quorum: int = 0
    score_min: float = 0.6
    hold_max: int = 0
    decay: int = 0
    uses_levels: bool = False
    uses_regimes: bool = False
    levels_age_max: int = 2 * HOUR
    grip: Grip = msgspec.field(default_factory=Grip)


class Coverage(msgspec.Struct, kw_only=True):
    """How many decisions of the rules to enter a model was asked about and how many it drove; `silent` counts the last askings without any answer;
    `is_disproved`: people were told that it is worse than no advice."""

    asked: int = 0
    driven: int = 0
    silent: int = 0
    is_disproved: bool = False


class State(msgspec.Struct, kw_only=True):
    """Money as the ledger last told it, the venue's rules, a book per instrument, and why everything is to be sold ("": it is not).

    `zones` and `regimes` are what the levels and macro agents said last, `overrides` until when (ns) the gate lets an operator's override
    of an instrument's regime be in force, `scores` what opinions were worth.
    """

    equity: Decimal | None = None
    balance: Decimal | None = None
    specs: dict[str, InstrumentSpec] = {}
    books: dict[str, Book] = {}
    flatten_reason: str = ""
    zones: dict[str, Zones] = {}
    regimes: dict[str, Regime] = {}
    overrides: dict[str, int] = {}
    scores: Scorebook = msgspec.field(default_factory=Scorebook)
    coverage: Coverage = msgspec.field(default_factory=Coverage)


class Desk(msgspec.Struct, frozen=True):
    """One look at it all, at `now` (ns)."""

    settings: Settings
    state: State
    now: int

    def book(self, instrument: str) -> Book:
        """The book of `instrument`, begun if there is none."""
        book = self.state.books.get(instrument)
        if book is None:
            book = self.state.books[instrument] = Book()
        return book

    def binding(self, book: Book) -> dict[str, Opinion]:
        """The opinions that are ready and fresh, by agent, in the order of the settings."""
        since, opinions = self.now - self.settings.signal_age_max, book.opinions
        found: dict[str, Opinion] = {}
        for agent in self.settings.agents:
            opinion = opinions.get(agent)
            if opinion is not None and opinion.ready and opinion.end_ts >= since:
                found[agent] = opinion
        return found

    def voices(self, book: Book) -> list[Voice]:
        """The binding opinions as they count."""
        return [
            Voice(
                agent_id=agent,
                stance=opinion.stance,
                strength=opinion.strength,
                weight=self.state.scores.weight(agent),
                age=self.now - opinion.end_ts,
            )
            for agent, opinion in self.binding(book).items()
        ]

    @property
    def terms(self) -> Terms:
        """How opinions are joined."""
        told = self.settings
        return Terms(ttl=told.signal_age_max, named=len(told.agents), quorum=told.quorum, score_min=told.score_min)

    def fresh_quote(self, book: Book) -> Quote | None:
        """The bid and ask, unless they are old."""
        quote = book.quote
        return quote if quote is not None and self.now - quote.ts <= self.settings.quote_age_max else None

    def zones(self, instrument: str) -> Zones | None:
        """The zones around the price, unless they are old or not wanted."""
        zones = self.state.zones.get(instrument) if self.settings.uses_levels else None
        return zones if zones is not None and self.now - zones.end_ts <= self.settings.levels_age_max else None

    def regime_share(self, instrument: str) -> Decimal:
        """What the weekly regime leaves of the risk of a long entry: half without a trend, a quarter against it under an override.

        Whether to enter against it at all is the gate's to say; so is everything while the regime is not known.
        """
        regime = self.state.regimes.get(instrument) if self.settings.uses_regimes else None
        if regime is None:
            return FULL
        if regime.state == "BEAR" and self.now < self.state.overrides.get(instrument, 0):
            return OVERRIDE_SHARE
        return NEUTRAL_SHARE if regime.state == "NEUTRAL" else FULL

    def holds(self, instrument: str) -> bool:
        """Whether something can be sold there, or may yet come of a wish that is under way."""
        book, spec = self.book(instrument), self.state.specs.get(instrument)
        if not book.is_free:
            return True
        if spec is None or book.quote is None:
            return book.signed_qty > ZERO
        return is_tradable(floor_to_step(book.signed_qty, spec.qty_step), to_decimal(book.quote.bid_px), spec)

    def wish(self, intent: OrderIntent, cash: Decimal) -> list[Effect]:
        """Say the wish, and be reminded when nobody has answered it."""
        self.book(intent.instrument).wish = Wish(intent_id=intent.intent_id, side=intent.side, cash=cash)
        return [Publish(intent), SetTimer(INTENT_TIMER + intent.instrument, intent.valid_until)]


def rest_if_flat(desk: Desk) -> None:
    """Nothing that can be sold is left: the order to flatten is carried out."""
    if desk.state.flatten_reason and not any(desk.holds(instrument) for instrument in desk.state.books):
        desk.state.flatten_reason = ""
