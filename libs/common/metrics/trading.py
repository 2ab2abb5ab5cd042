"""What those say who trade: prices and bars, opinions and models, limits, orders and stops, the books in SQL."""

from __future__ import annotations

from libs.common.metrics.declared import INSTRUMENT, VENUE, Label, counter, gauge, histogram

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_FEED, _GATE, _EXECUTOR, _LEDGER = ("market-feed",), ("risk-gate",), ("order-executor",), ("ledger",)
_PORTFOLIO = ("portfolio",)
_AGENT = Label("agent", "the agent's id")

FEED_ODD_FRAMES = counter(
    "feed_odd_frames_total",
    "frames and prints that were refused, repeated, late, or behind a hole in the trade ids",
    VENUE,
    Label("reason", "what is odd, a slug"),
    INSTRUMENT,
    by=_FEED,
    reading="`rate()` by `reason`; a step up is a venue that changed its wire",
)
FEED_HEALTH = gauge(
    "feed_health",
    "ratio",
    "how well a venue's sockets deliver, 0 to 1",
    VENUE,
    by=_FEED,
    reading="1 is well; low for the home venue leads to a failover",
)
FEED_SPEAKS = gauge(
    "feed_speaks",
    "state",
    "1 for the venue that speaks, by sockets or by polling",
    VENUE,
    Label("via", "how", ("SOCKETS", "POLLING")),
    by=_FEED,
    reading="all 0: nobody tells prices",
)
FEED_EPOCH = gauge(
    "feed_epoch",
    "",
    "connections of a socket so far",
    VENUE,
    Label("socket", "which socket"),
    by=_FEED,
    reading="`changes()` counts reconnects",
)
BAR_OVERDUE = gauge(
    "feed_bar_overdue_seconds",
    "seconds",
    "how long the bar missing for longest is missing",
    Label("timeframe", "the bars' length, like 1m"),
    by=_FEED,
    reading="0: none is missing; agents without their bar say nothing",
)

MARK_AGE = gauge(
    "mark_age_seconds",
    "seconds",
    "how old the price is that orders are judged by, on the clock that the stack follows",
    INSTRUMENT,
    by=_GATE,
    reading="absent: no price was ever heard; on a simulated market faster than time it ages faster, too",
)
RISK_LIMIT_USED = gauge(
    "risk_limit_used_ratio",
    "ratio",
    "how much of a limit of the gate is used; 1 is the limit",
    Label(
        "limit",
        "which limit",
        ("drawdown_halt", "daily_loss", "gross_exposure", "largest_position", "positions", "losses_in_a_row"),
    ),
    by=_GATE,
    reading="absent: not known yet (no equity, or no price of something that is held)",
)
RISK_DRAWDOWN_LIMIT = gauge(
    "risk_drawdown_limit_ratio",
    "ratio",
    "the drawdown from which a stage is in force",
    Label("stage", "what happens there", ("half_risk", "no_entries", "halt")),
    by=_GATE,
    reading="the settings that are in force, beside `bulkhead_book_drawdown_ratio`",
)
RISK_DAILY_LOSS = gauge(
    "risk_daily_loss_ratio",
    "ratio",
    "the loss since 00:00 UTC, of the equity then; below 0 it is a profit",
    by=_GATE,
    reading="against the setting BULKHEAD_RISK_DAILY_LOSS_MAX; absent before the first equity",
)

UNCOVERED = gauge(
    "stop_uncovered_notional",
    "quote",
    "what is held and neither a resting stop nor an exit covers, in quote currency",
    INSTRUMENT,
    by=_EXECUTOR,
    reading="above 0 for longer than a few seconds: nothing protects this position",
)
ORDERS_UNKNOWN = gauge(
    "exec_orders_unknown",
    "",
    "orders whose fate is unknown",
    by=_EXECUTOR,
    reading="above 0: asked, not answered; the instrument is quarantined",
)
SUBMIT_SECONDS = histogram(
    "exec_submit_seconds",
    "how long an order or a pair took from the request to the answer, or to its being refused a place",
    Label("outcome", "what the answer proved", ("CONFIRMED", "HALFWAY", "REJECTED", "UNKNOWN", "NEVER_SENT")),
    by=_EXECUTOR,
    buckets=_BUCKETS,
    reading="the count by `outcome` is the error budget of orders",
)
USER_STREAM_UP = gauge(
    "exec_user_stream_up",
    "state",
    "1 while the venue tells us of our orders by itself",
    VENUE,
    by=_EXECUTOR,
    reading="0: fills are found by asking only, and late",
)
VENUE_CLOCK_OFFSET = gauge(
    "exec_venue_clock_offset_seconds",
    "seconds",
    "the venue's clock less ours, as it was measured last",
    VENUE,
    by=_EXECUTOR,
    reading="absent: not measured yet; beyond a second the venue refuses what we sign",
)

PROJECTION_UP = gauge(
    "ledger_projection_up",
    "state",
    "1 while the SQL projection follows the log",
    by=_LEDGER,
    reading="0: SQL is not written, trading goes on",
)
PROJECTION_POSITION = gauge(
    "ledger_projection_position",
    "events",
    "seq of the last event committed to SQL",
    by=_LEDGER,
    reading="rises with the log",
    question="up to which event does a report from SQL speak?",
)
PROJECTION_LAG_EVENTS = gauge(
    "ledger_projection_lag_events",
    "events",
    "events read from the log and not yet committed to SQL",
    by=_LEDGER,
    reading="a few hundred at work; growing: the database is too slow or away",
)
PROJECTION_LAG_SECONDS = gauge(
    "ledger_projection_lag_seconds",
    "seconds",
    "age of the oldest event read and not yet committed to SQL",
    by=_LEDGER,
    reading="how old what SQL says is",
)

MODEL_DECISIONS = counter(
    "model_decisions_total",
    "entries a model was asked about, by who drove the decision in the end",
    Label("driver", "who decided", ("MODEL", "RULES")),
    by=_PORTFOLIO,
    reading="`MODEL` of both is the share that is driven by a model; the rest is fallback",
)
AGENT_WEIGHT = gauge(
    "agent_weight",
    "ratio",
    "the weight an agent's votes have earned; 1 is as it says",
    _AGENT,
    by=_PORTFOLIO,
    reading="0: it is heard and does not count",
)
AGENT_HIT_RATE = gauge(
    "agent_hit_rate",
    "ratio",
    "the share of an agent's resolved votes that was right",
    _AGENT,
    by=_PORTFOLIO,
    reading="means little before some hundred `bulkhead_agent_votes_total`",
)
AGENT_VOTES = counter(
    "agent_votes_total", "an agent's resolved votes", _AGENT, by=_PORTFOLIO, reading="how much its hit rate rests on"
)
MODEL_ASKINGS = counter(
    "model_askings_total",
    "how often a model was to be asked, by how that ended",
    Label("end", "`answered`, or the failure's name (services/signal_agents/llm/failures.py)"),
    by=("agent-llm",),
    reading="`not_configured`, `breaker_open` and `budget` asked nobody",
)
