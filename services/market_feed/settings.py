"""What the market feed is told from outside."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import NoDecode

from libs.common.timeframe import MILLISECOND
from libs.runtime.settings import Instruments, Listed, ServiceSettings
from libs.trading.binance_ccxt import PRODUCTION_SOCKETS_URL, PRODUCTION_URL
from services.market_feed.doubt import SanityLimits
from services.market_feed.failover import Patience
from services.market_feed.machine import MarketFeedMachine
from services.market_feed.marks import Cadence

VENUES = ("binance", "kraken", "kucoin")


def _are_venues(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [venue for venue in value if venue not in VENUES]
    if not value or unknown or len(set(value)) != len(value):
        raise ValueError(f"want each of {', '.join(VENUES)} at most once, separated by commas, the home venue first")
    return value


class Settings(ServiceSettings):
    """Which venue, which instruments, how much history, and how often prices enter the log."""

    instruments: Instruments = Field(
        default=("BTC-USDT", "ETH-USDT"),
        description="the instruments to tell, separated by commas",
    )
    feed_venues: Annotated[tuple[str, ...], NoDecode, AfterValidator(_are_venues), Listed] = Field(
        default=("binance", "kraken", "kucoin"),
        description="whose prices, the most preferred first; the first is home, where orders go",
    )
    feed_venue_url: str = Field(
        default="http://127.0.0.1:4202",
        pattern=r"^https?://[^@]+$",
        validation_alias=AliasChoices("BULKHEAD_FEED_VENUE_URL", "BULKHEAD_VENUE_URL"),
        description=f"REST root of a server that speaks for all venues, sockets included; {PRODUCTION_URL}: the real ones",
    )
    feed_reader: Literal["native", "ccxt"] = Field(
        default="native", description="who reads Binance's sockets: our own reader, or ccxt's as for the other venues"
    )
    feed_history_bars: int = Field(
        default=500, ge=16, le=10_000, description="bars of 1m, 15m, 1h, 4h and 1d published before the first live bar"
    )
    feed_history_weeks: int = Field(default=300, ge=1, le=1_000, description="weekly bars published likewise")
    feed_grace_ms: int = Field(
        default=500, ge=0, le=10_000, description="how long after its end a silent minute is asked for by REST"
    )
    feed_mark_interval_ms: int = Field(default=250, ge=10, le=10_000, description="prices that moved leave so often")
    feed_mark_gap_ms: int = Field(default=50, ge=1, le=10_000, description="a jump waits so long after the last marks")
    feed_mark_heartbeat_ms: int = Field(default=1_000, ge=100, le=60_000, description="marks leave at least so often")
    feed_mark_jump_bps: float = Field(default=5.0, gt=0, le=10_000, description="a move of the mid that leaves at once")
    feed_alive_window_ms: int = Field(
        default=5_000, ge=100, le=600_000, description="an instrument is alive while a frame of it is not older"
    )
    feed_staleness_ms_max: int = Field(
        default=10_000, ge=500, le=600_000, description="no frame of any kind for so long: STALE, and reconnect"
    )
    feed_ping_ms: int = Field(
        default=5_000,
        ge=250,
        le=60_000,
        description="a socket is asked for a sign of life so often (KuCoin says itself how often); 2.5 pings without any: dead",
    )
    feed_trade_silence_ms_max: int = Field(
        default=60_000,
        ge=500,
        le=3_600_000,
        description="no trade of an instrument for so long: reconnect its socket, where it has one of its own (ccxt)",
    )
    feed_down_ms_max: int = Field(default=2_000, ge=0, le=600_000, description="disconnected for so long: DOWN")
    feed_leave_ms: int = Field(
        default=5_000, ge=100, le=600_000, description="a venue that is poor for so long is left"
    )
    feed_return_ms: int = Field(
        default=60_000, ge=100, le=3_600_000, description="a more preferred venue that is good for so long speaks again"
    )
    feed_left_behind_ms: int = Field(
        default=60_000,
        ge=100,
        le=3_600_000,
        description="bars that the venue serves of all instruments but one wait for that one so long",
    )
    feed_poll_ms: int = Field(default=2_000, ge=100, le=60_000, description="without sockets REST is asked so often")
    feed_notional_min: float = Field(
        default=10.0, ge=0, le=1e9, description="prints worth less (quote currency) move no price and confirm none"
    )
    feed_spread_max: float = Field(
        default=0.10, gt=0, le=1.0, description="a quote wider than this share of its price is not believed"
    )

    def machine(self) -> MarketFeedMachine.Settings:
        """Whose prices are told."""
        return MarketFeedMachine.Settings(
            venue=self.home_venue,
            instruments=self.instruments,
            market_url=self.feed_venue_url.rstrip("/"),
            clock_url=self.clock_url,
        )

    @property
    def home_venue(self) -> str:
        """The venue orders go to."""
        return self.feed_venues[0]

    @property
    def url(self) -> str:
        """Where a server is that speaks for all venues; "" for the venues themselves."""
        return "" if self.feed_venue_url.rstrip("/") == PRODUCTION_URL else self.feed_venue_url.rstrip("/")

    @property
    def sockets_url(self) -> str:
        """Where Binance's public streams are, for our own reader."""
        return f"ws{self.url.removeprefix('http')}" if self.url else PRODUCTION_SOCKETS_URL

    @property
    def patience(self) -> Patience:
        """How long a venue may be poor, and must be good."""
        leave = self.feed_leave_ms * MILLISECOND
        return Patience(
            leave_after=leave, return_after=self.feed_return_ms * MILLISECOND, poll_after=leave, settle_after=leave
        )

    @property
    def sanity(self) -> SanityLimits:
        """Where belief in a price ends."""
        return SanityLimits(notional_min=self.feed_notional_min, spread_max=self.feed_spread_max)

    @property
    def cadence(self) -> Cadence:
        """How often prices enter the log."""
        return Cadence(
            interval=self.feed_mark_interval_ms * MILLISECOND,
            gap=self.feed_mark_gap_ms * MILLISECOND,
            heartbeat=self.feed_mark_heartbeat_ms * MILLISECOND,
            alive_window=self.feed_alive_window_ms * MILLISECOND,
            jump_bps=self.feed_mark_jump_bps,
        )

    def history_bars(self, timeframe: str) -> int:
        """How many bars of `timeframe` are published before the first live one."""
        return self.feed_history_weeks if timeframe == "1w" else self.feed_history_bars
