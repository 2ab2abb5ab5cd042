"""Whether a price can be believed, per instrument of the venue that speaks. A pure machine: prints and instants in, verdicts out.

Theory of operation. One price is trusted; a print is judged by how far it is from it, against a band that its own volatility sets.

    inside the band                       believed; the trusted price follows
    outside                               QUARANTINED: held, trusted price and entries stand still, until one of
      another venue agrees (1 %)            re-anchored (CONSENSUS)
      3 distinct trades, 250 ms apart,      re-anchored (TRADES): the held prints are believed after all
        one side, coherent, no dust
      quotes stay there for 10 s            re-anchored (QUOTES)
      a print inside the band               SPIKE: the held prints are rejected
    off by a power of ten                 UNIT: rejected, confirms itself never; stops must not fire
    two other venues say otherwise        DISLOCATED: entries stand still, stops follow the middle of all venues
    first print after a gap               RESYNC unless close to the old price: a second one must agree

A quote is an interval: a trusted price inside [bid, ask] agrees with it, one outside is moved to its edge. Trades of less than
`notional_min` are believed inside the band but move nothing, and confirm nothing. `protective` follows a price in doubt after
`doubt_max` if two prints agree on it, unless fresh quotes or two other venues contradict: a stop that waits for certainty is no
stop, one that fires on a single misprint is worse. What is remembered across a restart is what the marks in the log say (record.py): trusted price and trust.
"""

from __future__ import annotations

from typing import NamedTuple

from libs.common.messages import QuoteChanged, TradePrinted, Trust
from services.market_feed.doubt import Doubt, Opinions, Print, SanityLimits, is_power_of_ten, mid
from services.market_feed.volatility import Volatility

FOLLOWING = ("TRUSTED", "DISLOCATED")
"""In these the trusted price goes with the venue's prints."""


class Rejection(NamedTuple):
    """A print nobody may believe, and why."""

    print: Print
    reason: str
    reference_px: float
    band: float


class Judgement(NamedTuple):
    """What a print led to: prints now believed, in their order, and prints now rejected. Held ones are in neither."""

    believed: tuple[Print, ...] = ()
    rejected: tuple[Rejection, ...] = ()


class TrustChange(NamedTuple):
    """A change of trust, with its numbers."""

    at: int
    before: Trust
    trust: Trust
    reason: str
    trusted_px: float
    protective_px: float
    suspect_px: float
    band: float


HELD = Judgement()


class PriceFilter:
    """The belief in one instrument's price. `px` 0.0: none yet. `changes` is emptied by whoever tells them."""

    def __init__(
        self,
        limits: SanityLimits,
        *,
        px: float = 0.0,
        protective: float = 0.0,
        at: int = 0,
        trust: Trust = "RESYNC",
        prior: float = 0.0,
    ):
        self.px = px
        self.at = at
        self.protective = protective or px
        self.trust: Trust = trust
        self.band = limits.band_min
        self.changes: list[TrustChange] = []
        self._limits = limits
        self._volatility = Volatility(prior=prior)
        self._doubt = Doubt(limits)
        self._opinions = Opinions(limits)
        self._refused_at = 0

    # --- in -------------------------------------------------------------------------------------------------------

    def trade(self, trade: TradePrinted, now: int) -> Judgement:
        """Judge a trade. Fast where nothing is wrong: this is called for every print of the venue."""
        px = trade.px
        has_weight = px * trade.qty >= self._limits.notional_min
        if self.px and abs(px / self.px - 1.0) <= self._band(now):
            judgement = Judgement((trade,)) if self.trust in FOLLOWING else self._back_inside(trade, now)
            if has_weight:
                self._follow(px, now)
                self._volatility.sample(px, now)
            return judgement
        if refused := self._out_of_the_question(trade, px, now):
            return refused
        if not (has_weight or self._doubt.trades):
            return self._reject((trade,), "DUST")
        return self._suspect(trade, now)

    def quote(self, quote: QuoteChanged, now: int) -> Judgement:
        """Judge a best bid and offer."""
        doubt = self._doubt
        if quote.ask_px > quote.bid_px * (1.0 + self._limits.spread_max):
            return self._reject((quote,), "WIDE")
        if not self.px or self._distance(quote) > self._band(now):
            return self._suspect_quote(quote, now)
        doubt.contradict(now)
        if self.trust in FOLLOWING:
            judgement = Judgement((quote,))
        elif doubt.trades and now - doubt.newest_at < self._limits.confirm_span:
            return HELD  # the socket of quotes may be a moment behind that of trades
        else:
            judgement = self._back_inside(quote, now)
        if doubt.has_weight(quote):
            self._follow(min(max(self.px, quote.bid_px), quote.ask_px), now)
        return judgement

    def opinion(self, venue: str, px: float, now: int) -> None:
        """Another venue's price of the same instrument."""
        self._opinions.say(venue, px, now)

    def accepts(self, px: float, now: int) -> bool:
        """Whether `px` is inside the band; nothing follows from it."""
        return bool(self.px) and abs(px / self.px - 1.0) <= self._band(now)

    def look(self, now: int) -> Judgement:
        """What follows from time and from other venues alone; to be called a few times a second."""
        if self.trust in FOLLOWING:
            self._compare(now)
        if self.trust == "TRUSTED":
            return HELD
        suspect = self._doubt.px
        if suspect and self._opinions.support(suspect, now):
            return self._re_anchor(suspect, "CONSENSUS", now)
        self._protect(now)
        return HELD

    @property
    def held(self) -> tuple[TradePrinted, ...]:
        """The trades that are held."""
        return tuple(self._doubt.trades)

    @property
    def scale(self) -> float:
        """How much the price usually moves, per square root of a second."""
        return self._volatility.scale_now

    # --- belief -------------------------------------------------------------------------------------------------

    def _band(self, now: int) -> float:
        limits, waited = self._limits, now - self.at
        if waited > limits.gap:  # the old price is a second opinion about a print close to it, and about no other
            self.band = limits.band_min
        else:
            self.band = self._volatility.band(waited, limits.sigmas, limits.band_min, limits.band_max)
        return self.band

    def _follow(self, px: float, now: int) -> None:
        self.px, self.at = px, now
        if self.trust != "DISLOCATED":
            self.protective = px

    def _back_inside(self, found: Print, now: int) -> Judgement:
        """A print inside the band ends the doubt: what was held was none of this market."""
        reason = "SPIKE" if self.trust == "QUARANTINED" else "BACK_INSIDE"
        rejected = self._reject(self._doubt.drop(), "SPIKE").rejected
        self._become("TRUSTED", reason, 0.0, now)
        return Judgement((found,), rejected)

    def _settle(self, px: float, reason: str, now: int) -> Judgement:
        """Re-anchor, unless two other venues say that this venue is the one that is off."""
        if self._opinions.off(px, now) <= self._limits.dislocation:
            return self._re_anchor(px, reason, now)
        self._refused_at = now
        self.protective = self._opinions.middle(px, now)
        rejected = self._reject(self._doubt.drop(), "DISLOCATED")
        self._become("DISLOCATED", "VENUES_CONTRADICT", px, now)
        return rejected

    def _re_anchor(self, px: float, reason: str, now: int) -> Judgement:
        """The price is there now: what was held and leads there is believed."""
        low, high = min(self.px or px, px), max(self.px or px, px)
        low, high = low * (1.0 - self._limits.coherent), high * (1.0 + self._limits.coherent)
        believed: list[Print] = []
        lost: list[Print] = []
        for held in self._doubt.drop():
            edges = (held.px, held.px) if isinstance(held, TradePrinted) else (held.bid_px, held.ask_px)
            (believed if low <= edges[0] and edges[1] <= high else lost).append(held)
        rejected = self._reject(tuple(lost), "INCOHERENT").rejected
        self.px, self.at, self.protective = px, now, px
        self._volatility.restart(px, now)
        self._become("TRUSTED", reason, px, now)
        return Judgement(tuple(believed), rejected)

    def _compare(self, now: int) -> None:
        """Against slow poison: the venue's own prints cannot show that all of them are off."""
        limits, off = self._limits, self._opinions.off(self.px, now) if self.px else 0.0
        if off > limits.dislocation:
            self.protective = self._opinions.middle(self.px, now)
            self._become("DISLOCATED", "VENUES_DISAGREE", self.px, now)
        elif self.trust == "DISLOCATED" and off <= limits.dislocation / 2 and now - self._refused_at >= limits.calm:
            self.protective = self.px
            self._become("TRUSTED", "VENUES_AGREE" if self._opinions.fresh(now) else "NO_OTHER_VENUE", 0.0, now)

    # --- doubt --------------------------------------------------------------------------------------------------

    def _out_of_the_question(self, found: Print, px: float, now: int) -> Judgement | None:
        """A print outside the band that cannot become the price by its own kind, and that no other venue supports."""
        is_unit = is_power_of_ten(px, self.px, self._limits.unit_tolerance)
        if not (is_unit or self.trust == "DISLOCATED") or self._opinions.support(px, now):
            return None
        self._refused_at = now
        if is_unit and self.trust in ("TRUSTED", "RESYNC"):
            self._become("UNIT", "POWER_OF_TEN", px, now)
        return self._reject((found,), "UNIT" if is_unit else "DISLOCATED")

    def _suspect(self, trade: TradePrinted, now: int) -> Judgement:
        doubt, rejected = self._doubt, ()
        if doubt.trades and self.px and (trade.px > self.px) != (doubt.trades[-1].px > self.px):
            rejected = self._reject(doubt.drop_trades(), "INCOHERENT").rejected
        self._begin_doubt(trade.px, now)
        if (oldest := doubt.hold(trade, now)) is not None:
            rejected += self._reject((oldest,), "UNCONFIRMED").rejected
        judgement = HELD
        if reason := self._why_believe(trade.px, now):
            judgement = self._settle(trade.px, reason, now)
        self._protect(now)
        return Judgement(judgement.believed, rejected + judgement.rejected)

    def _suspect_quote(self, quote: QuoteChanged, now: int) -> Judgement:
        px = mid(quote)
        if refused := self._out_of_the_question(quote, px, now):
            return refused
        self._begin_doubt(px, now)
        self._doubt.hold_quote(quote, now)
        if reason := self._why_believe(px, now):
            return self._settle(px, reason, now)
        self._protect(now)
        return HELD

    def _begin_doubt(self, px: float, now: int) -> None:
        """A print outside: after a gap it needs a second opinion, else, and if it is far away, the full proof."""
        limits = self._limits
        self._doubt.begin(now)
        if self.trust == "TRUSTED" and now - self.at > limits.gap:
            self._become("RESYNC", "GAP", px, now)
        is_far = self.trust == "RESYNC" and self.px and abs(px / self.px - 1.0) > limits.band_max
        if self.trust in ("TRUSTED", "UNIT") or is_far:
            self._become("QUARANTINED", "OUTSIDE_BAND", px, now)

    def _why_believe(self, px: float, now: int) -> str:
        """The reason to believe a price in doubt; "" if there is none yet."""
        doubt = self._doubt
        if self._opinions.support(px, now):
            return "CONSENSUS"
        if self.trust == "RESYNC":
            return "SECOND_PRINT" if doubt.two_agree() else ""
        if self.trust == "QUARANTINED" and not doubt.quotes_contradict(now):
            return "TRADES" if doubt.trades_confirm() else "QUOTES" if doubt.quotes_confirm(now) else ""
        return ""

    def _protect(self, now: int) -> None:
        """Let the stops see a price that has been in doubt for long enough."""
        doubt = self._doubt
        if self.trust not in ("QUARANTINED", "RESYNC") or now - doubt.since < self._limits.doubt_max:
            return
        is_denied = doubt.quotes_contradict(now) or self._opinions.off(doubt.px, now) > self._limits.dislocation
        if doubt.two_agree() and not is_denied:
            self.protective = doubt.px

    # --- small --------------------------------------------------------------------------------------------------

    def _become(self, trust: Trust, reason: str, suspect_px: float, now: int) -> None:
        if trust != self.trust:
            numbers = (self.px, self.protective, suspect_px, self.band)
            self.changes.append(TrustChange(now, self.trust, trust, reason, *numbers))
            self.trust = trust

    def _reject(self, prints: tuple[Print, ...], reason: str) -> Judgement:
        return Judgement((), tuple(Rejection(each, reason, self.px, self.band) for each in prints))

    def _distance(self, quote: QuoteChanged) -> float:
        """How far the trusted price is outside the quote, relative to itself."""
        return max(quote.bid_px - self.px, self.px - quote.ask_px, 0.0) / self.px
