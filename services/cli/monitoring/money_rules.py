"""Rules about money and safety: prices, orders and their stops, limits, the books."""

from __future__ import annotations

from services.cli.monitoring.rules import Group, Rule
from services.cli.monitoring.settings import AlertSettings

NO_ENTRY = "Nothing has to be done at once: stops and exits go on. See `bulkhead status`."


def money_rules(settings: AlertSettings) -> list[Group]:
    """All groups, in the order in which a file has them."""
    return [_execution(), _burn(settings), _prices(settings), _venue(settings), _risk(settings), _books()]


def _execution() -> Group:
    return Group(
        name="execution",
        why="what a person is woken for because of orders; made in services/order_executor/adapters/gauges.py",
        rules=[
            Rule(
                alert="StopUncovered",
                expr="bulkhead_stop_uncovered_notional > 0",
                hold="15s",
                severity="page",
                code="UNCOVERED",
                summary="{{ $labels.instrument }}: {{ $value | humanize }} of quote currency rest on no stop",
                action="See `bulkhead status`; if the executor cannot place a stop, place one at the venue by hand, or sell there.",
            ),
            Rule(
                alert="OrderUnknown",
                expr="bulkhead_exec_orders_unknown > 0",
                hold="60s",
                severity="page",
                code="ORDER_UNKNOWN",
                summary="{{ $value }} order(s) of unknown fate for more than a minute",
                action="Look for the order at the venue's own page; its instrument takes no entries until the venue has answered for it.",
            ),
            Rule(
                alert="ExecutorLeader",
                expr='(sum(bulkhead_leader{service="order-executor"}) or vector(0)) != 1',
                hold="30s",
                severity="page",
                summary="{{ $value }} executors hold the lease; there must be exactly one",
                action="None: is it up? Two: stop both, look at open orders at the venue, start one.",
            ),
            Rule(
                alert="OrderRefusedRoom",
                expr='increase(bulkhead_venue_weight_refused_total{lane="orders"}[5m]) > 0',
                severity="ticket",
                summary="{{ $labels.venue }}: orders of {{ $labels.service }} found no room in the venue's budget and were not sent",
                action="See who uses the weight; what reads the market must make room for orders.",
            ),
        ],
    )


def _burn(settings: AlertSettings) -> Group:
    budget = 1 - settings.alert_orders_slo
    failed = 'bulkhead_exec_submit_seconds_count{outcome=~"REJECTED|UNKNOWN|NEVER_SENT"}'
    steps = (("14.4", "1h", "5m", "page"), ("6", "6h", "30m", "page"), ("3", "1d", "2h", "ticket"), ("1", "3d", "6h", "ticket"))  # fmt: skip
    return Group(
        name="orders-slo",
        why="how fast the error budget of submissions is used up; two windows, so that it ends soon after its cause; three failures at least",
        rules=[
            Rule(
                alert="OrdersFailing",
                expr=f"bulkhead:orders_failed:ratio_rate{long} > {float(budget) * float(factor):.4g}"
                f" and bulkhead:orders_failed:ratio_rate{short} > {float(budget) * float(factor):.4g}"
                f" and sum(increase({failed}[{long}])) > 2",
                severity=severity,  # type: ignore[arg-type]
                labels={"burn": f"{factor}x", "window": long},
                summary=f"{{{{ $value | humanizePercentage }}}} of the submissions of {long} were not confirmed:"
                f" {factor} times what the error budget allows",
                action="See `bulkhead trace latest` for the venue's words; halt if they are refusals that will not end.",
            )
            for factor, long, short, severity in steps
        ],
    )


def _prices(settings: AlertSettings) -> Group:
    age = settings.alert_data_age_s_max
    return Group(
        name="prices",
        why="the age of the data, not whether a process is up",
        rules=[
            Rule(
                alert="PricesGone",
                expr=f"min(bulkhead_mark_age_seconds) > {age}",
                hold="10s",
                severity="page",
                code="FEED_DOWN",
                summary="no instrument has a price younger than {{ $value | humanizeDuration }}",
                action="See `bulkhead status` and `logs/market-feed.log`; positions are guarded by their stops at the venue alone.",
            ),
            Rule(
                alert="PricesUnknown",
                expr="absent(bulkhead_mark_age_seconds)",
                hold="2m",
                severity="page",
                code="FEED_DOWN",
                summary="nobody says how old the prices are: the gate is not seen, or has never heard one",
                action="Is the risk gate up, and does the feed speak? See `bulkhead status`.",
            ),
            Rule(
                alert="PriceStale",
                expr=f"bulkhead_mark_age_seconds > {age}",
                hold="1m",
                severity="ticket",
                code="FEED_STALE",
                summary="{{ $labels.instrument }}: the price is {{ $value | humanizeDuration }} old",
                action=NO_ENTRY,
            ),
            Rule(
                alert="FeedSilent",
                expr="sum(bulkhead_feed_speaks) == 0",
                hold="30s",
                severity="page",
                code="FEED_DOWN",
                summary="no venue tells prices, neither by sockets nor by polling",
                action="Is the venue reachable from here? See `logs/market-feed.log`.",
            ),
            Rule(
                alert="FeedPolling",
                expr='max by (venue) (bulkhead_feed_speaks{via="POLLING"}) == 1',
                hold="5m",
                severity="ticket",
                code="FEED_POLLING",
                summary="the prices of {{ $labels.venue }} are polled: its sockets do not work",
                action=NO_ENTRY,
            ),
            Rule(
                alert="BarsOverdue",
                expr="max by (timeframe) (bulkhead_feed_bar_overdue_seconds) > 120",
                hold="2m",
                severity="ticket",
                code="INDICATORS_COLD",
                summary="a bar of {{ $labels.timeframe }} is missing for {{ $value | humanizeDuration }}",
                action=NO_ENTRY,
            ),
        ],
    )


def _venue(settings: AlertSettings) -> Group:
    return Group(
        name="venue",
        why="how it stands with those whose API we call",
        rules=[
            Rule(
                alert="VenueClockSkew",
                expr="abs(bulkhead_exec_venue_clock_offset_seconds) > 0.5",
                hold="1m",
                severity="ticket",
                code="CLOCK_DRIFT",
                summary="the clock of {{ $labels.venue }} and ours differ by {{ $value | humanizeDuration }}",
                action="Is time synchronised on this machine? Requests are signed with the venue's time meanwhile.",
            ),
            Rule(
                alert="ApiWeightHigh",
                expr=f"bulkhead:venue_weight:ratio > {settings.alert_api_weight_share}",
                hold="1m",
                severity="ticket",
                summary="{{ $value | humanizePercentage }} of the request weight of {{ $labels.venue }} is used",
                action="See who asks for so much; beyond the limit the venue shuts this address out, orders included.",
            ),
            Rule(
                alert="VenueQuiet",
                expr="max by (venue) (bulkhead_venue_breaker_open) == 1",
                hold="1m",
                severity="page",
                summary="{{ $labels.venue }} has told us to be quiet: no request leaves, no order either",
                action="Do not restart anything: it ends by itself. Look at positions and stops on the venue's page.",
            ),
            Rule(
                alert="UserStreamDown",
                expr="bulkhead_exec_user_stream_up == 0",
                hold="2m",
                severity="ticket",
                summary="{{ $labels.venue }} does not tell us of our orders: fills are found by asking, and late",
                action="See `logs/order-executor.log` for the reason of the last `user_stream` line.",
            ),
        ],
    )


def _risk(settings: AlertSettings) -> Group:
    near = float(settings.risk_daily_loss_max * settings.alert_daily_loss_share)
    return Group(
        name="risk",
        why="thresholds are the gate's own settings; the drawdown is seen by the gate where the gateway is gone",
        rules=[
            Rule(
                alert="TradingHalted",
                expr='max(bulkhead_trading_state{state="HALTED"}) == 1',
                severity="page",
                summary="trading is halted: the kill switch is on",
                action="See `bulkhead status` for who and why; `bulkhead resume --reason` when that is over.",
            ),
            Rule(
                alert="DrawdownHalfRisk",
                expr=f"bulkhead:drawdown:ratio >= {settings.risk_drawdown_half_risk}",
                severity="ticket",
                code="DRAWDOWN_HALF_RISK",
                summary="the drawdown is {{ $value | humanizePercentage }}: a trade may risk half as much",
                action="Nothing has to be done; look at what was lost, and by whom.",
            ),
            Rule(
                alert="DrawdownNoEntries",
                expr=f"bulkhead:drawdown:ratio >= {settings.risk_drawdown_entry_max}",
                severity="ticket",
                code="DRAWDOWN_NO_ENTRIES",
                summary="the drawdown is {{ $value | humanizePercentage }}: nothing is entered",
                action="Look at what was lost, and by whom, before it recovers.",
            ),
            Rule(
                alert="DrawdownHalt",
                expr=f"bulkhead:drawdown:ratio >= {settings.risk_drawdown_halt}",
                severity="page",
                code="DRAWDOWN_HALT",
                summary="the drawdown is {{ $value | humanizePercentage }}: trading has to be halted",
                action="Is it halted (`bulkhead status`)? If not: `bulkhead halt --reason drawdown`.",
            ),
            Rule(
                alert="DailyLossNear",
                expr=f"bulkhead_risk_daily_loss_ratio >= {near:.4g}",
                severity="ticket",
                summary="{{ $value | humanizePercentage }} of the equity were lost since 00:00 UTC: the day's limit is near",
                action="Nothing has to be done: at the limit entries stop by themselves.",
            ),
            Rule(
                alert="DailyLossReached",
                expr=f"bulkhead_risk_daily_loss_ratio >= {settings.risk_daily_loss_max}",
                severity="page",
                summary="{{ $value | humanizePercentage }} of the equity were lost since 00:00 UTC: the day's limit is reached",
                action="Entries are denied until 00:00 UTC. See whether what is held should be (`bulkhead status`).",
            ),
            Rule(
                alert="LimitNearlyUsed",
                expr='bulkhead_risk_limit_used_ratio{limit=~"gross_exposure|largest_position"}'
                f" > {settings.alert_limit_share}",
                hold="5m",
                severity="ticket",
                summary="{{ $value | humanizePercentage }} of the limit {{ $labels.limit }} are used",
                action="`bulkhead risk headroom` says what room is left; nothing has to be done.",
            ),
        ],
    )


def _books() -> Group:
    return Group(
        name="books",
        why="our books, the venue's, and the copy in SQL",
        rules=[
            Rule(
                alert="BooksDiffer",
                expr="bulkhead_book_reconciled == 0",
                hold="30s",
                severity="page",
                code="NOT_RECONCILED",
                summary="orders and holdings do not agree with the venue's account; nothing is entered",
                action="See `bulkhead status` for what differs.",
            ),
            Rule(
                alert="BalancesDiffer",
                expr='sum(increase(bulkhead_alerts_raised_total{code="BALANCE_MISMATCH"}[15m])) > 0',
                severity="ticket",
                code="BALANCE_MISMATCH",
                summary="the ledger's balances differ from the venue's",
                action="See the alert in `bulkhead status` for the asset; was money moved by hand?",
            ),
            Rule(
                alert="DatabaseBehind",
                expr="bulkhead_ledger_projection_lag_seconds > 60",
                hold="30s",
                severity="ticket",
                code="DATABASE_LAGS",
                summary="the database is {{ $value | humanizeDuration }} behind the log",
                action="Trading goes on. See `logs/ledger.log` and the database's own load.",
            ),
            Rule(
                alert="DatabaseNotWritten",
                expr="bulkhead_ledger_projection_up == 0",
                hold="1m",
                severity="ticket",
                code="PROJECTION_DOWN",
                summary="the database is not written",
                action="Trading goes on. See `bulkhead doctor`.",
            ),
        ],
    )
