"""A system that is well, as Prometheus sees it, and what each alert is about: some series otherwise, what fires then, and that it was silent before.

Every scene is the whole healthy system with a few series changed (None: absent), so that an alert that fires for another's reason is found.
"""

from __future__ import annotations

import msgspec

from libs.desk.watchman import WatchLimits

VITAL = sorted(WatchLimits().vital)
SERVICES = [*VITAL, "gateway", "agent-trend", "agent-llm"]
SUBMITTED = "bulkhead_exec_submit_seconds_count"
BTC = '{instrument="BTC-USDT"}'


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """`changed` are series in promtool's notation (None: absent), `fires` what fires when (`Alert/severity`), beside the Watchdog; `silent` when nothing does."""

    alert: str
    changed: dict[str, str | None]
    fires: dict[str, tuple[str, ...]]
    silent: tuple[str, ...] = ()
    step_s: int = 15
    steps: int = 80
    about: str = ""


def healthy(step_s: int, steps: int) -> dict[str, str]:
    """The series of a system that is well, for so many steps."""

    def always(value: float) -> str:
        return f"{value}x{steps}"

    def rising(by: float) -> str:
        return f"0+{by}x{steps}"

    found = {}
    for name in SERVICES:
        found[f'up{{job="bulkhead",instance="{name}"}}'] = always(1)
        found[f'process_start_time_seconds{{job="bulkhead",instance="{name}"}}'] = always(1000)
        found[f'bulkhead_ready{{service="{name}"}}'] = always(1)
        found[f'bulkhead_leader{{service="{name}"}}'] = always(1)
        found[f'bulkhead_log_lag{{service="{name}"}}'] = always(3)
        found[f'bulkhead_outbox{{service="{name}"}}'] = always(0)
    for outcome, by in (("CONFIRMED", 1), ("REJECTED", 0), ("UNKNOWN", 0), ("NEVER_SENT", 0)):
        found[f'{SUBMITTED}{{outcome="{outcome}"}}'] = rising(by)
    found |= {
        f"bulkhead_mark_age_seconds{BTC}": always(1),
        'bulkhead_mark_age_seconds{instrument="ETH-USDT"}': always(2),
        'bulkhead_feed_speaks{venue="binance",via="SOCKETS"}': always(1),
        'bulkhead_feed_speaks{venue="binance",via="POLLING"}': always(0),
        'bulkhead_feed_bar_overdue_seconds{timeframe="1m"}': always(0),
        'bulkhead_exec_venue_clock_offset_seconds{venue="binance"}': always(-0.05),
        "bulkhead_clock_offset_seconds": always(0.01),
        'bulkhead_venue_weight_used{service="market-feed",venue="binance"}': always(900),
        'bulkhead_venue_weight_limit{service="market-feed",venue="binance"}': always(6000),
        'bulkhead_venue_breaker_open{service="market-feed",venue="binance"}': always(0),
        'bulkhead_venue_weight_refused_total{service="order-executor",venue="binance",lane="orders"}': always(0),
        'bulkhead_exec_user_stream_up{venue="binance"}': always(1),
        f"bulkhead_stop_uncovered_notional{BTC}": always(0),
        "bulkhead_exec_orders_unknown": always(0),
        'bulkhead_trading_state{state="ACTIVE"}': always(1),
        'bulkhead_trading_state{state="HALTED"}': always(0),
        "bulkhead_book_drawdown_ratio": always(0.01),
        'bulkhead_risk_limit_used_ratio{limit="drawdown_halt"}': always(0.07),
        'bulkhead_risk_limit_used_ratio{limit="gross_exposure"}': always(0.5),
        'bulkhead_risk_limit_used_ratio{limit="positions"}': always(1),
        "bulkhead_risk_daily_loss_ratio": always(-0.001),
        "bulkhead_book_reconciled": always(1),
        'bulkhead_alerts_raised_total{code="BALANCE_MISMATCH",severity="ticket"}': always(0),
        "bulkhead_ledger_projection_lag_seconds": always(1),
        "bulkhead_ledger_projection_up": always(1),
        "bulkhead_bus_store_bytes": always(1e9),
        "bulkhead_bus_store_limit_bytes": always(1e10),
        "bulkhead_disk_free_bytes": always(5e11),
        "bulkhead_disk_size_bytes": always(1e12),
        "bulkhead_backup_timestamp_seconds": rising(step_s),
        "bulkhead_restore_proven_timestamp_seconds": rising(step_s),
        'bulkhead_model_askings_total{end="answered"}': rising(1),
        'bulkhead_model_askings_total{end="timeout"}': always(0),
        'bulkhead_breaker_state{service="agent-llm",name="model"}': always(0),
        'bulkhead_breaker_state{service="notifier",name="telegram"}': always(0),
        'bulkhead_access_refused_total{service="gateway",door="api",why="BAD_TOKEN"}': always(0),
    }
    return found


def _since(alert: str, series: str, bad: str, hold: str, *fires: str, good: str = "0", **more: object) -> Scene:
    """Well for ten minutes, then bad; silent until it was bad for `hold`."""
    found = more.pop("also", {})
    steps = {"15s": 1, "30s": 2, "1m": 4, "2m": 8, "5m": 20, "10m": 40}.get(hold, 0)
    course = f"{good}x39 {bad}x60"
    return Scene(
        alert=alert,
        changed={series: course, **found},  # type: ignore[dict-item]
        silent=("9m45s", *([f"{600 + 15 * steps - 15}s"] if steps else [])),
        fires={
            "18m" if hold == "5m" else f"{600 + 15 * steps + 15}s" if hold != "10m" else "21m": fires
            or (f"{alert}/ticket",)
        },
        steps=100,
        **more,  # type: ignore[arg-type]
    )


SCENES = [
    Scene(
        alert="StopUncovered",
        about="one that is put back in time wakes nobody",
        changed={f"bulkhead_stop_uncovered_notional{BTC}": "0 500 500 0 500 500 500 500 500 0"},
        step_s=5,
        silent=("15s", "30s"),
        fires={"40s": ("StopUncovered/page",)},
    ),
    Scene(
        alert="OrderUnknown",
        about="one that is looked up in time wakes nobody",
        changed={"bulkhead_exec_orders_unknown": "0 1 1 0 1 1 1 1 1 1 1 1 0"},
        step_s=10,
        silent=("30s", "90s", "120s"),
        fires={"110s": ("OrderUnknown/page",)},
    ),
    _since("ExecutorLeader", 'bulkhead_leader{service="order-executor"}', "0", "30s", "ExecutorLeader/page", good="1"),
    Scene(
        alert="ExecutorLeader",
        about="nobody exports at all",
        changed={'bulkhead_leader{service="order-executor"}': None},
        silent=("15s",),
        fires={"1m": ("ExecutorLeader/page",)},
    ),
    Scene(
        alert="ExecutorLeader",
        about="two lead",
        changed={'bulkhead_leader{service="order-executor",instance="second"}': "0x3 1x20"},
        silent=("1m",),
        fires={"2m": ("ExecutorLeader/page",)},
    ),
    Scene(
        alert="OrderRefusedRoom",
        changed={
            'bulkhead_venue_weight_refused_total{service="order-executor",venue="binance",lane="orders"}': "0x10 1x60"
        },
        silent=("2m", "10m"),
        fires={"4m": ("OrderRefusedRoom/ticket",)},
    ),
    Scene(
        alert="OrdersFailing",
        about="everything fails: the fast page first, then the slow one, and the ticket beside them",
        changed={
            f'{SUBMITTED}{{outcome="CONFIRMED"}}': "0+1x60 60x60",
            f'{SUBMITTED}{{outcome="REJECTED"}}': "0x60 0+1x60",
        },
        step_s=60,
        steps=120,
        silent=("59m",),
        fires={"90m": ("OrdersFailing/page", "OrdersFailing/page", "OrdersFailing/ticket", "OrdersFailing/ticket")},
    ),
    Scene(
        alert="OrdersFailing",
        about="a twentieth fails for long: tickets, nobody is woken",
        changed={f'{SUBMITTED}{{outcome="CONFIRMED"}}': "0+57x800", f'{SUBMITTED}{{outcome="REJECTED"}}': "0+3x800"},
        step_s=240,
        steps=800,
        fires={"50h": ("OrdersFailing/ticket", "OrdersFailing/ticket")},
    ),
    Scene(
        alert="OrdersFailing",
        about="one of two in a quiet hour is no trend",
        changed={
            f'{SUBMITTED}{{outcome="CONFIRMED"}}': "0x30 1x90",
            f'{SUBMITTED}{{outcome="REJECTED"}}': "0x31 1x89",
        },
        step_s=60,
        steps=120,
        silent=("33m", "60m"),
        fires={},
    ),
    Scene(
        alert="PricesGone",
        changed={
            f"bulkhead_mark_age_seconds{BTC}": "1x20 0+15x60",
            'bulkhead_mark_age_seconds{instrument="ETH-USDT"}': "2x20 2+15x60",
        },
        silent=("5m",),
        fires={"6m15s": ("PricesGone/page",), "8m": ("PricesGone/page", "PriceStale/ticket", "PriceStale/ticket")},
    ),
    Scene(
        alert="PricesUnknown",
        about="a gate that is gone says nothing of ages",
        changed={
            f"bulkhead_mark_age_seconds{BTC}": None,
            'bulkhead_mark_age_seconds{instrument="ETH-USDT"}': None,
        },
        silent=("1m45s",),
        fires={"2m15s": ("PricesUnknown/page",)},
    ),
    _since("PriceStale", f"bulkhead_mark_age_seconds{BTC}", "31", "1m", good="29"),
    Scene(
        alert="FeedSilent",
        changed={'bulkhead_feed_speaks{venue="binance",via="SOCKETS"}': "1x10 0x20"},
        silent=("2m45s",),
        fires={"3m30s": ("FeedSilent/page",)},
    ),
    Scene(
        alert="FeedPolling",
        changed={
            'bulkhead_feed_speaks{venue="binance",via="SOCKETS"}': "1x10 0x60",
            'bulkhead_feed_speaks{venue="binance",via="POLLING"}': "0x10 1x60",
        },
        silent=("7m",),
        fires={"8m": ("FeedPolling/ticket",)},
    ),
    _since("BarsOverdue", 'bulkhead_feed_bar_overdue_seconds{timeframe="1m"}', "121", "2m"),
    _since("VenueClockSkew", 'bulkhead_exec_venue_clock_offset_seconds{venue="binance"}', "-0.6", "1m"),
    _since(
        "ApiWeightHigh", 'bulkhead_venue_weight_used{service="market-feed",venue="binance"}', "4900", "1m", good="4700"
    ),
    _since(
        "VenueQuiet", 'bulkhead_venue_breaker_open{service="market-feed",venue="binance"}', "1", "1m", "VenueQuiet/page"
    ),
    _since("UserStreamDown", 'bulkhead_exec_user_stream_up{venue="binance"}', "0", "2m", good="1"),
    _since("TradingHalted", 'bulkhead_trading_state{state="HALTED"}', "1", "0s", "TradingHalted/page"),
    _since("DrawdownHalfRisk", "bulkhead_book_drawdown_ratio", "0.05", "0s", good="0.049"),
    _since(
        "DrawdownNoEntries",
        "bulkhead_book_drawdown_ratio",
        "0.1",
        "0s",
        "DrawdownNoEntries/ticket",
        "DrawdownHalfRisk/ticket",
    ),
    _since(
        "DrawdownHalt",
        "bulkhead_book_drawdown_ratio",
        "0.15",
        "0s",
        *("DrawdownHalt/page", "DrawdownNoEntries/ticket", "DrawdownHalfRisk/ticket"),
    ),
    Scene(
        alert="DrawdownHalt",
        about="without a gateway the gate is believed",
        changed={
            "bulkhead_book_drawdown_ratio": None,
            'bulkhead_risk_limit_used_ratio{limit="drawdown_halt"}': "0.2x10 1x20",
        },
        silent=("2m",),
        fires={"3m": ("DrawdownHalt/page", "DrawdownNoEntries/ticket", "DrawdownHalfRisk/ticket")},
    ),
    _since("DailyLossNear", "bulkhead_risk_daily_loss_ratio", "0.025", "0s", good="0.023"),
    _since(
        "DailyLossReached",
        "bulkhead_risk_daily_loss_ratio",
        "0.03",
        "0s",
        "DailyLossReached/page",
        "DailyLossNear/ticket",
    ),
    _since("LimitNearlyUsed", 'bulkhead_risk_limit_used_ratio{limit="gross_exposure"}', "0.95", "5m", good="0.9"),
    _since("BooksDiffer", "bulkhead_book_reconciled", "0", "30s", "BooksDiffer/page", good="1"),
    Scene(
        alert="BalancesDiffer",
        changed={'bulkhead_alerts_raised_total{code="BALANCE_MISMATCH",severity="ticket"}': "0x10 1x100"},
        steps=110,
        silent=("2m", "25m"),
        fires={"5m": ("BalancesDiffer/ticket",)},
    ),
    _since("DatabaseBehind", "bulkhead_ledger_projection_lag_seconds", "61", "30s", good="59"),
    _since("DatabaseNotWritten", "bulkhead_ledger_projection_up", "0", "1m", good="1"),
    _since("ServiceDown", 'up{job="bulkhead",instance="order-executor"}', "0", "15s", "ServiceDown/page", good="1"),
    _since("ServiceDown", 'up{job="bulkhead",instance="agent-trend"}', "0", "2m", good="1"),
    Scene(
        alert="TargetsMissing",
        about="a target that is not even scraped has no `up` of 0",
        changed={'up{job="bulkhead",instance="ledger"}': None},
        silent=("45s",),
        fires={"1m15s": ("TargetsMissing/page",)},
    ),
    Scene(
        alert="TargetsMissing",
        about="none is known",
        changed={f'up{{job="bulkhead",instance="{name}"}}': None for name in SERVICES},
        silent=("45s",),
        fires={"1m15s": ("TargetsMissing/page",)},
    ),
    _since("ServiceNotReady", 'bulkhead_ready{service="ledger"}', "0", "2m", "ServiceNotReady/page", good="1"),
    _since("ServiceNotReady", 'bulkhead_ready{service="agent-trend"}', "0", "10m", good="1"),
    Scene(
        alert="ServiceCrashLoop",
        changed={'process_start_time_seconds{job="bulkhead",instance="ledger"}': "1000x9 1000+30x5 1180x20 1180x40"},
        silent=("2m", "3m30s"),
        fires={"4m": ("ServiceCrashLoop/page",)},
    ),
    Scene(
        alert="ServiceCrashLoop",
        changed={'process_start_time_seconds{job="bulkhead",instance="agent-llm"}': "1000x9 1000+30x6 1180x60"},
        silent=("3m30s",),
        fires={"4m": ("ServiceCrashLoop/ticket",)},
    ),
    _since("ConsumerBehind", 'bulkhead_log_lag{service="ledger"}', "5001", "1m", "ConsumerBehind/ticket", good="400"),
    Scene(
        alert="ConsumerFallsBehind",
        changed={'bulkhead_log_lag{service="ledger"}': "3x20 500+10x80"},
        steps=100,
        silent=("9m",),
        fires={"12m": ("ConsumerFallsBehind/ticket",)},
    ),
    _since("OutboxStuck", 'bulkhead_outbox{service="ledger"}', "101", "1m"),
    Scene(
        alert="EventRejected",
        about="the first one makes its own series; ten minutes later it was told",
        changed={'bulkhead_rejected_total{service="ledger",reason="BAD"}': "_x10 1x100"},
        steps=110,
        silent=("2m", "14m"),
        fires={"3m": ("EventRejected/ticket",)},
    ),
    _since("BusStoreFull", "bulkhead_bus_store_bytes", "9.6e9", "0s", "BusStoreFull/page", good="7e9"),
    _since("BusStoreLow", "bulkhead_bus_store_bytes", "8.1e9", "5m", good="7e9"),
    _since("DiskFull", "bulkhead_disk_free_bytes", "4e9", "0s", "DiskFull/page", good="5e11"),
    _since("DiskLow", "bulkhead_disk_free_bytes", "2e10", "5m", good="5e11"),
    _since("ClockSkew", "bulkhead_clock_offset_seconds", "-0.6", "1m"),
    Scene(
        alert="BackupOld",
        changed={"bulkhead_backup_timestamp_seconds": "0x120"},
        step_s=900,
        steps=120,
        silent=("26h",),
        fires={"26h15m": ("BackupOld/ticket",)},
    ),
    Scene(
        alert="BackupMissing",
        about="never made is not old: a day of grace, then it is told",
        changed={"bulkhead_backup_timestamp_seconds": None},
        step_s=900,
        steps=120,
        silent=("23h",),
        fires={"25h": ("BackupMissing/ticket",)},
    ),
    Scene(
        alert="RestoreUnproven",
        changed={"bulkhead_restore_proven_timestamp_seconds": "0x900"},
        step_s=3600,
        steps=900,
        silent=("840h",),
        fires={"842h": ("RestoreUnproven/ticket",)},
    ),
    Scene(
        alert="ModelFailing",
        changed={
            'bulkhead_model_askings_total{end="answered"}': "0+2x60",
            'bulkhead_model_askings_total{end="timeout"}': "0x30 0+2x60",
        },
        step_s=60,
        steps=90,
        silent=("40m",),
        fires={"58m": ("ModelFailing/ticket",)},
    ),
    Scene(
        alert="ModelFailing",
        about="a breaker that is open asks nobody, and few questions prove nothing",
        changed={
            'bulkhead_model_askings_total{end="answered"}': "0x30 1x60",
            'bulkhead_model_askings_total{end="timeout"}': "0x30 3x60",
            'bulkhead_model_askings_total{end="breaker_open"}': "0+9x60",
        },
        step_s=60,
        steps=90,
        silent=("45m",),
        fires={},
    ),
    _since("ModelRouteClosed", 'bulkhead_breaker_state{service="agent-llm",name="model"}', "2", "10m"),
    _since("ChannelDown", 'bulkhead_breaker_state{service="notifier",name="telegram"}', "2", "2m", "ChannelDown/page"),
    Scene(
        alert="TokensGuessed",
        changed={'bulkhead_access_refused_total{service="gateway",door="api",why="BAD_TOKEN"}': "0x10 0+2x40"},
        silent=("3m",),
        fires={"8m": ("TokensGuessed/ticket",)},
    ),
    Scene(alert="Watchdog", about="always", changed={}, fires={}),
]
