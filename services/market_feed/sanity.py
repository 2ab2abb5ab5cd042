"""Whether a price can be believed, per instrument of the venue that speaks. A pure machine: prints and instants in, verdicts out.

Theory of operation. One price is trusted; a print is judged by how far it is from it, against a band that its own volatility sets.

    inside the band or the book           believed; the trusted price follows
    outside                               QUARANTINED: held, trusted price and entries stand still, until one of
      another venue agrees (1 %)            re-anchored (CONSENSUS), unless it has been elsewhere for 30 s already
      3 distinct trades, 250 ms apart,      re-anchored (TRADES): the held prints are believed after all; a few misprints
        one side, coherent, no dust           on the other side do not matter (doubt.py)
      quotes stay there for 10 s            re-anchored (QUOTES)
      a print of weight inside the band     SPIKE: the held prints are rejected
    off by a power of ten                 UNIT: rejected, confirms itself never; stops must not fire
    two other venues say otherwise        DISLOCATED: entries stand still, stops follow the middle of all venues
    first print after a gap               RESYNC unless close to the old price: a second one must agree

A quote is an interval: a trusted price inside [bid, ask] agrees with it, one outside is moved to its edge; a trade inside the last
believed one needs no band. Prints of less than `notional_min` are believed inside the band but move nothing, confirm nothing and
end no doubt; nor does a quote that repeats the one before (a frozen book), or one so wide that both prices are in it.
`protective` follows a price in doubt after `doubt_max` if two prints agree on it, unless fresh quotes or two other venues
contradict: a stop that waits for certainty is no stop, one that fires on a single misprint is worse. Other venues contradict by
what they said in the last second: in a crash they freeze. In UNIT, and after a gap, whatever is nearer to another power of ten is
in another unit: a market in another unit moves on too, and units change while a venue is closed. What is remembered across a
restart is what the marks in the log say (record.py): trusted price and trust; the other venues then get `others_wait` to speak.
"""

from __future__ import annotations

from math import inf
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
        opinions: Opinions | None = None,
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
        self._opinions = opinions or Opinions(limits)
        self._now = at
        self._seen: QuoteChanged | None = None
        self._book: tuple[float, float, int] = (0.0, 0.0, 0)
        self._denied_at = 0
        self._alone_until = 0

    # --- in -------------------------------------------------------------------------------------------------------

    def trade(self, trade: TradePrinted, now: int) -> Judgement:
        """Judge a trade. Fast where nothing is wrong: this is called for every print of the venue."""
        px = trade.px
        if now < self._now:
            self._set_back(self._now - now)
        self._now = now
        has_weight = px * trade.qty >= self._limits.notional_min
        if self.px and (abs(px / self.px - 1.0) <= self._band(now) or self._is_in_book(px, now)):
            if self.trust == "TRUSTED" or (self.trust == "DISLOCATED" and not self._doubt.is_open):
                judgement = Judgement((trade,))
            elif not has_weight:
                return self._hold(trade, now, is_inside=True)
            else:
                judgement = self._back_inside(trade, now)
            if has_weight:
                self._follow(px, now)
                self._volatility.sample(px, now)
            return judgement
        if refused := self._in_another_unit(trade, px, now):
            return refused
        if not (has_weight or self._doubt.trades):
            return self._reject((trade,), "DUST")
        return self._suspect(trade, now)

    def quote(self, quote: QuoteChanged, now: int) -> Judgement:
        """Judge a best bid and offer."""
        doubt, before = self._doubt, self._seen
        if now < self._now:
            self._set_back(self._now - now)
        self._now, self._seen = now, quote
        if quote.ask_px > quote.bid_px * (1.0 + self._limits.spread_max):
            return self._reject((quote,), "WIDE")
        if not self.px or self._distance(quote) > self._band(now):
            return self._suspect_quote(quote, now)
        says_something = doubt.has_weight(quote) and (before is None or _numbers(before) != _numbers(quote))
        if says_something and not doubt.lies_within(quote):
            doubt.contradict(now)
        if self.trust in FOLLOWING and not doubt.is_open:
            judgement = Judgement((quote,))
        elif not says_something or doubt.lies_within(quote) or now - doubt.newest_at < self._limits.confirm_span:
            return HELD  # it proves nothing, or the socket of quotes is a moment behind that of trades
        else:
            judgement = self._back_inside(quote, now)
        if says_something:
            self._book = (quote.bid_px, quote.ask_px, now)
            self._follow(min(max(self.px, quote.bid_px), quote.ask_px), now)
        return judgement

    def opinion(self, venue: str, px: float, now: int) -> None:
        """Another venue's price of the same instrument."""
        self._opinions.say(venue, px, self.px if now - self.at <= self._limits.gap else 0.0, now)

    def accepts(self, px: float, now: int) -> bool:
        """Whether `px` is inside the band; nothing follows from it."""
        return bool(self.px) and abs(px / self.px - 1.0) <= self._band(now)

    def look(self, now: int) -> Judgement:
        """What follows from time and from other venues alone; to be called a few times a second."""
        if now < self._now:
            self._set_back(self._now - now)
        self._now = now
        if self.trust in FOLLOWING:
            self._compare(now)
        if self.trust == "TRUSTED":
            return HELD
        suspect = self._doubt.px
        if suspect and self._opinions.support(suspect, now):
            return self._re_anchor(suspect, "CONSENSUS", now)
        self._protect(now)
        return HELD

    def at_another_venue(self, venue: str) -> PriceFilter:
        """What to judge the prints of `venue` by, which speaks from now on: what this one was contradicted in counts for nothing."""
        is_off = self.trust == "DISLOCATED"
        other = PriceFilter(
            self._limits,
            px=self.protective if is_off else self.px,
            protective=self.protective,
            at=self.at,
            trust=self.trust,
            prior=self.scale,
            opinions=self._opinions.without(venue),
        )
        other.changes, other._now = self.changes, self._now
        if is_off:
            other._become("RESYNC", "ANOTHER_VENUE", self.px, self._now)
        return other

    def give_up(self) -> tuple[Rejection, ...]:
        """The venue speaks no more: nobody will know what was held."""
        return self._reject(self._doubt.drop(), "ANOTHER_VENUE").rejected

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
        most = (
            limits.band_max if waited <= limits.gap else limits.coherent
        )  # the old price is a second opinion of its own
        self.band = self._volatility.band(waited, limits.sigmas, limits.band_min, most)
        return self.band

    def _is_in_book(self, px: float, now: int) -> bool:
        """Whether a price lies within the last believed quote: a spread is no move."""
        bid_px, ask_px, at = self._book
        if now - at > self._limits.gap or ask_px > bid_px * (1.0 + self._limits.band_max):
            return False
        return bid_px <= px <= ask_px

    def _follow(self, px: float, now: int) -> None:
        self.px, self.at = px, now
        if self.trust != "DISLOCATED":
            self.protective = px

    def _back_inside(self, found: Print, now: int) -> Judgement:
        """A print inside the band ends the doubt: what was held outside of it was none of this market."""
        reason = "SPIKE" if self.trust == "QUARANTINED" else "BACK_INSIDE"
        low, high = self.px * (1.0 - self.band), self.px * (1.0 + self.band)
        inside, outside = _split(self._doubt.drop(), low, high)
        rejected = self._reject(outside, "SPIKE").rejected
        if self.trust != "DISLOCATED":
            self._become("TRUSTED", reason, 0.0, now)
        return Judgement((*inside, found), rejected)

    def _settle(self, px: float, reason: str, now: int) -> Judgement:
        """Re-anchor, unless two other venues say that this venue is the one that is off: then what is held waits for them."""
        if self._opinions.off(px, now) <= self._limits.dislocation:
            return self._re_anchor(px, reason, now)
        self._denied_at, self._alone_until = now, now + self._limits.calm
        self.protective = self._opinions.middle(self.px or px, now)
        self._become("DISLOCATED", "VENUES_CONTRADICT", px, now)
        return HELD

    def _re_anchor(self, px: float, reason: str, now: int) -> Judgement:
        """The price is there now: what was held and leads there is believed."""
        low, high = min(self.px or px, px), max(self.px or px, px)
        low, high = low * (1.0 - self._limits.coherent), high * (1.0 + self._limits.coherent)
        believed, lost = _split(self._doubt.drop(), low, high)
        rejected = self._reject(lost, "INCOHERENT").rejected
        self.px, self.at, self.protective = px, now, px
        self._volatility.restart(px, now)
        self._become("TRUSTED", reason, px, now)
        return Judgement(believed, rejected)

    def _compare(self, now: int) -> None:
        """Against slow poison: the venue's own prints cannot show that all of them are off."""
        limits, opinions = self._limits, self._opinions
        is_denied = self.px and opinions.off(self.px, now) > limits.dislocation
        if not is_denied and self.trust != "DISLOCATED":
            return
        if opinions.are_two(now):
            self.protective = opinions.middle(self.px, now)
            self._alone_until = now + limits.calm
            self._become("DISLOCATED", "VENUES_DISAGREE", self.px, now)
            if opinions.off(self.px, now, by_denial=False) > limits.dislocation / 2:
                self._denied_at = now
            elif now - self._denied_at >= limits.calm and not self._doubt.is_open:
                self.protective = self.px
                self._become("TRUSTED", "VENUES_AGREE", 0.0, now)
        elif self._were_others_heard(now):
            self._become("RESYNC", "NO_OTHER_VENUE", 0.0, now)

    def _were_others_heard(self, now: int) -> bool:
        """Whether this dislocated venue has given the others time to speak, after a restart too."""
        if self.trust != "DISLOCATED":
            return False
        self._alone_until = self._alone_until or now + self._limits.others_wait
        return now >= self._alone_until or self._opinions.are_two(now)

    # --- doubt --------------------------------------------------------------------------------------------------

    def _in_another_unit(self, found: Print, px: float, now: int) -> Judgement | None:
        """A print in another unit, which no other venue supports, is refused."""
        is_closed = self.trust == "UNIT" or now - self.at > self._limits.gap
        is_unit = is_power_of_ten(px, self.px, inf if is_closed else self._limits.unit_tolerance)
        if not is_unit or self._opinions.support(px, now):
            return None
        if self.trust in ("TRUSTED", "RESYNC"):
            self._become("UNIT", "POWER_OF_TEN", px, now)
        return self._reject((found,), "UNIT")

    def _hold(self, trade: TradePrinted, now: int, *, is_inside: bool = False) -> Judgement:
        self._doubt.begin(now)
        dropped = self._doubt.hold(trade, is_above=trade.px > self.px > 0, is_inside=is_inside, now=now)
        return HELD if dropped is None else self._reject((dropped,), "UNCONFIRMED")

    def _suspect(self, trade: TradePrinted, now: int) -> Judgement:
        self._begin_doubt(trade.px, now)
        held, judgement = self._hold(trade, now), HELD
        px, reason = self._why_believe(trade.px, now)
        if reason:
            judgement = self._settle(px, reason, now)
        self._protect(now)
        return Judgement(judgement.believed, held.rejected + judgement.rejected)

    def _suspect_quote(self, quote: QuoteChanged, now: int) -> Judgement:
        if refused := self._in_another_unit(quote, mid(quote), now):
            return refused
        self._begin_doubt(mid(quote), now)
        self._doubt.hold_quote(quote, now)
        px, reason = self._why_believe(mid(quote), now)
        if reason:
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

    def _why_believe(self, px: float, now: int) -> tuple[float, str]:
        """The price to believe, `px` or another one in doubt, and the reason; "" if there is none yet."""
        doubt = self._doubt
        if self._opinions.support(px, now):
            return px, "CONSENSUS"
        if self.trust == "RESYNC":
            agreed = doubt.agreed_px()
            return agreed, "SECOND_PRINT" if agreed else ""
        if (self.trust == "QUARANTINED" or self._were_others_heard(now)) and not doubt.quotes_contradict(now):
            if traded := doubt.trades_px():
                return traded, "TRADES"
            if quoted := doubt.quotes_px(now):
                return quoted, "QUOTES"
        return px, ""

    def _protect(self, now: int) -> None:
        """Let the stops see a price that has been in doubt for long enough."""
        doubt = self._doubt
        if self.trust not in ("QUARANTINED", "RESYNC") or now - doubt.since < self._limits.doubt_max:
            return
        agreed = doubt.agreed_px()
        if agreed and not doubt.quotes_contradict(now) and self._opinions.off(agreed, now) <= self._limits.dislocation:
            self.protective = agreed

    # --- small --------------------------------------------------------------------------------------------------

    def _set_back(self, by: int) -> None:
        """The clock was set back: what is remembered keeps its age, or the filter would wait until the clock is there again."""
        self.at -= by
        self._denied_at -= by
        self._alone_until -= by if self._alone_until else 0
        self._book = (*self._book[:2], self._book[2] - by)
        self._doubt.set_back(by)
        self._opinions.set_back(by)
        self._volatility.at -= by

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


def _numbers(quote: QuoteChanged) -> tuple[float, float, float, float]:
    return quote.bid_px, quote.bid_qty, quote.ask_px, quote.ask_qty


def _split(prints: tuple[Print, ...], low: float, high: float) -> tuple[tuple[Print, ...], tuple[Print, ...]]:
    """Those between `low` and `high`, and the others, each in order."""
    inside: list[Print] = []
    outside: list[Print] = []
    for found in prints:
        edges = (found.px, found.px) if isinstance(found, TradePrinted) else (found.bid_px, found.ask_px)
        (inside if low <= edges[0] and edges[1] <= high else outside).append(found)
    return tuple(inside), tuple(outside)
