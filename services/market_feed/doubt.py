"""What speaks for and against a price in doubt: the prints held back, the quotes that stayed, the other venues. Pure."""

from __future__ import annotations

import math
from statistics import median

import msgspec

from libs.common.messages import QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND, SECOND

Print = TradePrinted | QuoteChanged
HELD_MAX = 1_000


class SanityLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Where belief ends. Shares are of the price (0.01 is 1 %), times ns, `notional_min` in quote currency."""

    sigmas: float = 8.0
    band_min: float = 0.005
    band_max: float = 0.05
    coherent: float = 0.02
    confirm_trades: int = 3
    confirm_span: int = 250 * MILLISECOND
    quote_lag: int = 100 * MILLISECOND
    confirm_quotes: int = 5
    confirm_quotes_span: int = 10 * SECOND
    notional_min: float = 10.0
    spread_max: float = 0.10
    consensus: float = 0.01
    dislocation: float = 0.02
    opinion_age_max: int = 5 * SECOND
    unit_tolerance: float = 0.03
    gap: int = 30 * SECOND
    doubt_max: int = 750 * MILLISECOND
    calm: int = 2 * SECOND


class Opinions:
    """What other venues say the same instrument costs."""

    def __init__(self, limits: SanityLimits):
        self._limits = limits
        self._said: dict[str, tuple[float, int]] = {}

    def say(self, venue: str, px: float, now: int) -> None:
        """`venue` has it at `px`."""
        self._said[venue] = (px, now)

    def fresh(self, now: int) -> list[float]:
        """The prices that are not too old to count."""
        return [px for px, at in self._said.values() if now - at <= self._limits.opinion_age_max]

    def support(self, px: float, now: int) -> bool:
        """Whether any other venue has about the same price."""
        return any(abs(px / other - 1.0) <= self._limits.consensus for other in self.fresh(now))

    def off(self, px: float, now: int) -> float:
        """How far `px` is from other venues that agree with each other; 0.0 where there are not two of them."""
        others = self.fresh(now)
        if len(others) < 2 or max(others) > min(others) * (1.0 + self._limits.consensus):
            return 0.0
        return abs(px / median(others) - 1.0)

    def middle(self, px: float, now: int) -> float:
        """The middle of all venues, this one's `px` included."""
        return median([*self.fresh(now), px])


class Doubt:
    """The prints outside the band that are held until somebody knows better. `since` is when the first of them came."""

    def __init__(self, limits: SanityLimits):
        self.since = 0
        self.newest_at = 0
        self.trades: list[TradePrinted] = []
        self.quote: QuoteChanged | None = None
        self._limits = limits
        self._quotes = 0
        self._quotes_since = 0
        self._support_at = 0

    def begin(self, now: int) -> None:
        """A print is going to be held; if it is the first one, the doubt begins."""
        if not self.trades and self.quote is None:
            self.since = now

    def hold(self, trade: TradePrinted, now: int) -> TradePrinted | None:
        """Hold a trade; returns the oldest one if there are too many."""
        self.trades.append(trade)
        self.newest_at = now
        return self.trades.pop(0) if len(self.trades) > HELD_MAX else None

    def hold_quote(self, quote: QuoteChanged, now: int) -> None:
        """Hold a quote in place of the one before; one that is elsewhere begins a new count."""
        if self.quote is None or abs(mid(quote) / mid(self.quote) - 1.0) > self._limits.coherent:
            self._quotes, self._quotes_since = 0, now
        self._quotes += self.has_weight(quote)
        self.quote, self._support_at = quote, 0

    def drop(self) -> tuple[Print, ...]:
        """The end of the doubt: everything held, in order."""
        dropped: tuple[Print, ...] = (*self.trades, *([self.quote] if self.quote is not None else ()))
        self.trades, self.quote, self._quotes = [], None, 0
        return dropped

    def drop_trades(self) -> tuple[Print, ...]:
        """The trades held, in order; the quote stays."""
        dropped, self.trades = tuple(self.trades), []
        return dropped

    # --- for it -----------------------------------------------------------------------------------------------

    @property
    def px(self) -> float:
        """Where the price in doubt is: the middle of the newest trades of weight, else the quote; 0.0 if there is neither."""
        heavy = self._heavy()[-self._limits.confirm_trades :]
        if heavy:
            return median(each.px for each in heavy)
        return mid(self.quote) if self.quote is not None else 0.0

    def two_agree(self) -> bool:
        """Whether the two newest prints of weight agree (quotes that do not agree with each other are counted anew)."""
        newest = [each.px for each in self._heavy()[-2:]]
        if self.quote is not None:
            newest = [*newest, *[mid(self.quote)] * min(self._quotes, 2)][-2:]
        return len(newest) == 2 and max(newest) <= min(newest) * (1.0 + self._limits.coherent)

    def trades_confirm(self) -> bool:
        """Whether enough trades of weight, far enough apart at the venue, agree or run away in one direction."""
        limits, heavy = self._limits, self._heavy()
        prices = [each.px for each in heavy[-limits.confirm_trades :]]
        if len(prices) < limits.confirm_trades or heavy[-1].ts_event - heavy[0].ts_event < limits.confirm_span:
            return False
        is_monotone = prices in (sorted(prices), sorted(prices, reverse=True))
        return is_monotone or max(prices) <= min(prices) * (1.0 + limits.coherent)

    def quotes_confirm(self, now: int) -> bool:
        """Whether quotes of weight have stayed there for long."""
        limits = self._limits
        return self._quotes >= limits.confirm_quotes and now - self._quotes_since >= limits.confirm_quotes_span

    # --- against it -------------------------------------------------------------------------------------------

    def contradict(self, now: int) -> None:
        """A quote at the old price came."""
        self._support_at = now

    def quotes_contradict(self, now: int) -> bool:
        """Whether fresh quotes still stand at the old price, well after the doubt began."""
        return self._support_at - self.since >= self._limits.quote_lag and now - self._support_at <= SECOND

    # --- weight -----------------------------------------------------------------------------------------------

    def has_weight(self, found: Print) -> bool:
        """Whether a print is worth enough to count; both sides of a quote must be."""
        if isinstance(found, TradePrinted):
            return found.px * found.qty >= self._limits.notional_min
        return min(found.bid_px * found.bid_qty, found.ask_px * found.ask_qty) >= self._limits.notional_min

    def _heavy(self) -> list[TradePrinted]:
        return [each for each in self.trades if self.has_weight(each)]


def is_power_of_ten(px: float, reference_px: float, tolerance: float) -> bool:
    """Whether `px` is the reference price in another unit: off by a factor of ten, a hundred, a tenth ..., within `tolerance`."""
    if not reference_px:
        return False
    power = round(math.log10(px / reference_px))
    return power != 0 and abs(px / reference_px / 10.0**power - 1.0) <= tolerance


def mid(quote: QuoteChanged) -> float:
    """The middle of a quote."""
    return (quote.bid_px + quote.ask_px) / 2
