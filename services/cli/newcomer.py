"""What `bulkhead up` tells its services on a simulated market, where nobody said otherwise: something should happen soon."""

from __future__ import annotations

DEV_DEFAULTS: dict[str, dict[str, str]] = {
    "market-feed": {"BULKHEAD_FEED_STALENESS_MS_MAX": "60000", "BULKHEAD_FEED_ALIVE_WINDOW_MS": "20000"},
    "agent-trend": {"BULKHEAD_TREND_TIMEFRAMES": "1m,15m"},
    "agent-levels": {"BULKHEAD_LEVELS_TIMEFRAME": "1m"},
    "portfolio": {
        "BULKHEAD_PORTFOLIO_STOP_ATR": "6",
        "BULKHEAD_PORTFOLIO_TARGET_ATR": "8",
        "BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX": "15000",
        "BULKHEAD_PORTFOLIO_QUOTE_AGE_MS_MAX": "20000",
        "BULKHEAD_PORTFOLIO_LEVELS": "false",
        "BULKHEAD_PORTFOLIO_REGIMES": "false",
        "BULKHEAD_PORTFOLIO_MODEL_WAIT_MS": "10000",
    },
    "agent-llm": {"BULKHEAD_LLM_DEADLINE_MS": "10000"},
    "risk-gate": {
        "BULKHEAD_RISK_PRICE_AGE_MS_MAX": "20000",
        "BULKHEAD_RISK_COOLDOWN_MS": "300000",
        "BULKHEAD_RISK_LOSSES_PAUSE_MS": "1800000",
        "BULKHEAD_RISK_MACRO": "false",
        "BULKHEAD_RISK_BAR_TIMEFRAME": "1m",
        "BULKHEAD_RISK_STOP_ATR_MAX": "12",
        "BULKHEAD_RISK_SIGNAL_AGE_SHARE_MAX": "0.5",
    },
}
"""What a newcomer's stack does otherwise than a deployment. Something should happen within the first minute, so it trades on
one-minute bars (their ATR is small: stops are set more of them away), confirmed by 15m and 1h, of which the feed's history
is enough to be warm at once; and venue time runs SPEED times faster than our own
processes do, so limits on ages, which are venue time, are wider. Losses pause it for minutes of venue time, not for hours,
and it trades whatever the weekly regime of the generated market is. Zones of one-minute bars are nearer than costs allow a stop to be.
What bulkhead.toml says, or a profile that somebody names, wins."""
