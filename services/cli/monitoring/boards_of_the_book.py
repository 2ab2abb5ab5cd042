"""The dashboards about money: what is owned and how it does, what it has earned, how orders go."""

from __future__ import annotations

from services.cli.monitoring.panels import RATE, Board, Row, lines, quantile, stat

BREAKER = {0: "CLOSED", 1: "HALF_OPEN", 2: "OPEN"}
YES = {0: "no", 1: "yes"}
FLAT = "nothing is held"
ASKED = "no model is configured, or none was asked yet"

TRADING_OVERVIEW = Board(
    uid="bulkhead-trading-overview",
    file="trading_overview",
    title="Bulkhead: trading overview",
    description="What is owned, how it does, and whether anything stands in the way of trading.",
    rows=(
        Row(
            "Now",
            (
                stat("Portfolio value", "Cash and positions at the latest marks, in quote currency.", "short", "max(bulkhead_book_equity_quote)"),
                stat("Current drawdown", "How far that is below its highest; the gate's stages are in the course below.", "percentunit", "bulkhead:drawdown:ratio", red_above=0.05),
                stat("Win rate", "Round trips that earned money, of all since the log began; none yet: no number.", "percentunit", "bulkhead:win_rate:ratio", empty_is_good="no round trip has ended yet"),
                stat("Open positions", "Instruments that are held.", "none", "max(bulkhead_positions_open)"),
                stat("Trading", "The state that trading is in; HALTED is the kill switch.", "none", "max by (state) (bulkhead_trading_state) == 1", legend="{{state}}"),
                stat("Venue", "How the venue is that tells prices: LIVE, STALE or DOWN.", "none", "max by (venue, state) (bulkhead_venue_state) == 1", legend="{{venue}} {{state}}"),
            ),
        ),
        Row(
            "Portfolio value",
            (
                lines("Portfolio value trend", "Equity, and how much of it is cash.", "short", ("max(bulkhead_book_equity_quote)", "equity"), ("max(bulkhead_book_cash_quote)", "cash"), width=12),
                lines("Drawdown and its stages", "The course of the drawdown under the limits that are in force.", "percentunit", ("bulkhead:drawdown:ratio", "drawdown"), ("max by (stage) (bulkhead_risk_drawdown_limit_ratio)", "{{stage}}"), width=12),
            ),
        ),
        Row(
            "Positions",
            (
                lines("Worth of each position", "Quantity at the middle of the book, in quote currency.", "short", ("max by (instrument) (bulkhead_position_notional_quote)", "{{instrument}}"), empty_is_good=FLAT),
                lines("Profit of each position", "Unrealised, at the middle of the book.", "short", ("max by (instrument) (bulkhead_position_unrealized_pnl_quote)", "{{instrument}}"), empty_is_good=FLAT),
                lines("Open positions over time", "How many instruments are held.", "none", ("max(bulkhead_positions_open)", "positions")),
                lines("Quantity", "What is held of each base currency.", "short", ("max by (instrument) (bulkhead_position_qty_base)", "{{instrument}}"), width=12, empty_is_good=FLAT),
                lines("Entry price", "The average price at which each position was entered.", "short", ("max by (instrument) (bulkhead_position_entry_quote)", "{{instrument}}"), width=12, empty_is_good=FLAT),
            ),
        ),
        Row(
            "Model and venue",
            (
                lines("Questions to the model", "How many were answered with a judgement and how many failed, since the log began.", "none", ("max by (outcome) (bulkhead_model_judgements_total)", "{{outcome}}"), empty_is_good=ASKED),
                lines("Model success and failure rate", "The shares of the last hour's questions; nobody asked is not counted.", "percentunit", ("1 - bulkhead:model_failed:ratio_increase1h", "success"), ("bulkhead:model_failed:ratio_increase1h", "failure"), empty_is_good=ASKED),
                lines("Venue connections", "How well each venue's sockets deliver, and whether the venue tells us of our orders.", "percentunit", ("max by (venue) (bulkhead_feed_health)", "prices of {{venue}}"), ("max by (venue) (bulkhead_exec_user_stream_up)", "orders at {{venue}}")),
                lines("Age of the prices", "On the clock that the stack follows; on a simulated market that is faster than time.", "s", ("max by (instrument) (bulkhead_mark_age_seconds)", "{{instrument}}"), width=24),
            ),
        ),
    ),
)  # fmt: skip

PERFORMANCE = Board(
    uid="bulkhead-performance-metrics",
    file="performance_metrics",
    title="Bulkhead: performance",
    description="What the book has earned, what it may still lose, and what the gate let through.",
    rows=(
        Row(
            "Earned",
            (
                lines("Profit", "Realised by what was sold (before commissions) and unrealised in what is held, in quote currency.", "short", ("max(bulkhead_book_realized_pnl_quote)", "realised"), ("max(bulkhead_book_unrealized_pnl_quote)", "unrealised"), width=12),
                lines("Round trips", "Trades from flat to flat, net of what they cost, since the log began.", "none", ("max by (outcome) (bulkhead_round_trips_total)", "{{outcome}}"), width=6),
                lines("Win rate over time", "Won of all, since the log began.", "percentunit", ("bulkhead:win_rate:ratio", "win rate"), width=6, empty_is_good="no round trip has ended yet"),
            ),
        ),
        Row(
            "At risk",
            (
                lines("Limits used", "How much of each limit of the gate is used; 1 is the limit.", "percentunit", ("max by (limit) (bulkhead_risk_limit_used_ratio)", "{{limit}}"), width=12),
                lines("Loss of the day", "Since 00:00 UTC, of the equity then; below 0 it is a profit.", "percentunit", ("max(bulkhead_risk_daily_loss_ratio)", "loss"), width=6),
                lines("Verdicts", "Intents that the gate approved and denied, since the log began.", "none", ("max by (verdict) (bulkhead_risk_verdicts_total)", "{{verdict}}"), width=6),
            ),
        ),
    ),
)  # fmt: skip

EXECUTION = Board(
    uid="bulkhead-execution",
    file="execution",
    title="Bulkhead: execution",
    description="How orders go: what the venue says of them, how long it takes, and what stands in their way.",
    rows=(
        Row(
            "Safety",
            (
                stat("Executors that lead", "Exactly one holds the lease.", "none", 'sum(bulkhead_leader{service="order-executor"}) or vector(0)', red_below=1),
                stat("Orders of unknown fate", "Asked, not answered: their instruments are quarantined.", "none", "max(bulkhead_exec_orders_unknown)", red_above=1),
                stat("Held without a stop", "In quote currency, of all instruments; seconds after a fill it may be above 0.", "short", "sum(bulkhead_stop_uncovered_notional)", red_above=1),
                stat("Books and venue agree", "By the last comparison with the account.", "none", "min(bulkhead_book_reconciled)", red_below=1, states=YES),
                stat("Told of our orders", "Whether the venue tells us by itself.", "none", "min by (venue) (bulkhead_exec_user_stream_up)", legend="{{venue}}", red_below=1, states=YES),
                stat("Venue wants silence", "It has answered 429 or 418.", "none", "max by (venue) (bulkhead_venue_breaker_open)", legend="{{venue}}", red_above=1, states=YES),
            ),
        ),
        Row(
            "Submissions",
            (
                lines("Submissions", "By what their answers proved.", "eps", (f"sum by (outcome) (rate(bulkhead_exec_submit_seconds_count[{RATE}]))", "{{outcome}}")),
                lines("How long a submission takes", "From the request to the venue's answer.", "s", (quantile("0.5", "bulkhead_exec_submit_seconds"), "half"), (quantile("0.99", "bulkhead_exec_submit_seconds"), "99 of 100"), empty_is_good="nothing was submitted within the window"),
                lines("Not confirmed", "The part of submissions that failed, over five minutes and an hour.", "percentunit", ("bulkhead:orders_failed:ratio_rate5m", "5m"), ("bulkhead:orders_failed:ratio_rate1h", "1h"), empty_is_good="nothing was submitted within the window"),
                lines("Orders that rest", "By where they stand; UNKNOWN wants a person.", "none", ("max by (group) (bulkhead_orders_resting)", "{{group}}"), width=12),
                lines("Orders that have ended", "By how, since the log began.", "none", ("max by (ending) (bulkhead_orders_ended_total)", "{{ending}}"), width=12),
            ),
        ),
        Row(
            "The venue's patience",
            (
                lines("Request weight used", "Of what the venue allows in its window.", "percentunit", ("bulkhead:venue_weight:ratio", "{{venue}}")),
                lines("Waiting for a share of it", "99 of 100 requests waited no longer.", "s", (quantile("0.99", "bulkhead_venue_weight_wait_seconds", "service", "lane"), "{{service}} {{lane}}")),
                lines("Refused for want of room", "Requests that were not sent.", "eps", (f"sum by (service, lane) (rate(bulkhead_venue_weight_refused_total[{RATE}]))", "{{service}} {{lane}}")),
                lines("The venue's clock", "Less ours.", "s", ("max by (venue) (bulkhead_exec_venue_clock_offset_seconds)", "{{venue}}"), width=24),
            ),
        ),
    ),
)  # fmt: skip
