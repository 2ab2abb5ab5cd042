"""What the market feed is told from outside."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from libs.common.timeframe import MILLISECOND
from libs.runtime.settings import Instruments, ServiceSettings
from services.market_feed.machine import MarketFeedMachine
from services.market_feed.marks import Cadence


class Settings(ServiceSettings):
    """Which venue, which instruments, how much history, and how often prices enter the log."""

    instruments: Instruments = Field(
        default=("BTC-USDT", "ETH-USDT"),
        description="the instruments to tell, separated by commas",
    )
    feed_venue: str = Field(default="binance", pattern=r"^[a-z0-9_-]{1,32}$", description="the venue's name in events")
    feed_venue_url: str = Field(
        default="http://127.0.0.1:4202",
        pattern=r"^https?://[^@]+$",
        validation_alias=AliasChoices("feed_venue_url", "BULKHEAD_FEED_VENUE_URL", "BULKHEAD_VENUE_URL"),
        description="the venue's REST root; sockets are on the same host",
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
    feed_trade_silence_ms_max: int = Field(
        default=60_000, ge=500, le=3_600_000, description="no trade of an instrument for so long: reconnect its socket"
    )
    feed_down_ms_max: int = Field(default=2_000, ge=0, le=600_000, description="disconnected for so long: DOWN")

    def machine(self) -> MarketFeedMachine.Settings:
        """Whose prices are told."""
        return MarketFeedMachine.Settings(venue=self.feed_venue, instruments=self.instruments)

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
