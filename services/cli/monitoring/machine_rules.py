"""Rules about the machines: services, the log and its store, backups, the model, the way to people."""

from __future__ import annotations

from libs.desk.standing import BACKUP_S_MAX, RESTORE_PROVEN_S_MAX
from libs.desk.watchman import WatchLimits
from services.cli.monitoring.rules import VITAL, Group, Rule
from services.cli.monitoring.settings import AlertSettings

LIMITS = WatchLimits()
JOB = 'job="bulkhead"'


def machine_rules(settings: AlertSettings) -> list[Group]:
    """All groups, in the order in which a file has them."""
    return [_watchdog(), _services(), _log(), _room(), _backups(), _model(settings), _people()]


def _watchdog() -> Group:
    return Group(
        name="watchdog",
        why="always fires: a dead man's switch outside waits for it, and its silence is the alarm",
        rules=[
            Rule(
                alert="Watchdog",
                expr="vector(1)",
                severity="watchdog",
                summary="Prometheus and Alertmanager work",
                action="Nothing. When the dead man's switch no longer hears this, monitoring itself is down.",
            )
        ],
    )


def _services() -> Group:
    vital_count = len(LIMITS.vital)
    return Group(
        name="services",
        why="vital are those without whom nobody trades or is told; the others wait for daytime",
        rules=[
            *_graded(
                "ServiceDown",
                f"up{{{JOB},instance{{}}}} == 0",
                ("15s", "2m"),
                "SERVICE_DOWN",
                "{{ $labels.instance }} does not answer",
                "Its supervisor starts it again. See `logs/{{ $labels.instance }}.log` if it stays down.",
            ),
            Rule(
                alert="TargetsMissing",
                expr=f'(count(up{{{JOB},instance=~"{VITAL}"}}) or vector(0)) < {vital_count}',
                hold="1m",
                severity="page",
                summary=f"only {{{{ $value }}}} of {vital_count} vital services are known to Prometheus",
                action="Are they in the scrape configuration, and do their names resolve?",
            ),
            *_graded(
                "ServiceNotReady",
                "max by (service) (bulkhead_ready{service{}}) == 0",
                ("2m", "10m"),
                "SERVICE_DOWN",
                "{{ $labels.service }} says that it cannot work",
                "Its `/readyz` says why; `bulkhead status` shows it.",
            ),
            *_graded(
                "ServiceCrashLoop",
                f"changes(process_start_time_seconds{{{JOB},instance{{}}}}[10m]) > {LIMITS.starts_max}",
                ("0s", "0s"),
                "SERVICE_CRASH_LOOP",
                "{{ $labels.instance }} has started {{ $value }} times within ten minutes",
                "See the end of `logs/{{ $labels.instance }}.log` for what ends it.",
            ),
        ],
    )


def _graded(alert: str, expr: str, holds: tuple[str, str], code: str, summary: str, action: str) -> list[Rule]:
    """A page for the vital, a ticket for the others; `{}` in the expression is where they are told apart."""
    return [
        Rule(
            alert=alert,
            expr=expr.replace("{}", f'{sign}"{VITAL}"'),
            hold=hold,
            severity=severity,  # type: ignore[arg-type]
            code=code,
            summary=summary,
            action=action,
        )
        for sign, hold, severity in (("=~", holds[0], "page"), ("!~", holds[1], "ticket"))
    ]


def _log() -> Group:
    return Group(
        name="log",
        why="whoever is behind the log decides about the past",
        rules=[
            Rule(
                alert="ConsumerBehind",
                expr=f"bulkhead_log_lag > {LIMITS.lag_events_max}",
                hold="1m",
                severity="ticket",
                code="SERVICE_LAGS",
                summary="{{ $labels.service }} has {{ $value }} events of the log to read",
                action="See what else the machine does; a service alone reads thousands a second.",
            ),
            Rule(
                alert="ConsumerFallsBehind",
                expr=f"bulkhead_log_lag > {LIMITS.lag_events_max // 10} and deriv(bulkhead_log_lag[5m]) > 0",
                hold="5m",
                severity="ticket",
                code="SERVICE_LAGS",
                summary="{{ $labels.service }} reads more slowly than the log grows: {{ $value }} events",
                action="See what else the machine does, and what is written so much (`bulkhead top`).",
            ),
            Rule(
                alert="OutboxStuck",
                expr=f"bulkhead_outbox > {LIMITS.outbox_events_max}",
                hold="1m",
                severity="ticket",
                code="SERVICE_LAGS",
                summary="{{ $labels.service }} has decided {{ $value }} events that are not in the log",
                action="Does the bus take appends? See `logs/nats.log` and the disk.",
            ),
            Rule(
                alert="EventRejected",
                expr="increase(bulkhead_rejected_total[10m]) > 0 or (bulkhead_rejected_total > 0"
                " unless bulkhead_rejected_total offset 10m)",
                severity="ticket",
                code="EVENT_REJECTED",
                summary="{{ $labels.service }} refused an event of the log: {{ $labels.reason }}",
                action="A copy is in DEAD; see `bulkhead tail` for the alert.",
            ),
        ],
    )


def _room() -> Group:
    full, low = LIMITS.store_full_share, LIMITS.store_low_share
    store = "bulkhead_bus_store_bytes / bulkhead_bus_store_limit_bytes"
    free = "bulkhead_disk_free_bytes / bulkhead_disk_size_bytes"
    return Group(
        name="room",
        why="without room nothing can be written, and trading stops",
        rules=[
            Rule(
                alert="BusStoreFull",
                expr=f"{store} > {full}",
                severity="page",
                code="LOG_STORE_FULL",
                summary="the log's store is {{ $value | humanizePercentage }} full",
                action="Give it more room before it is full.",
            ),
            Rule(
                alert="BusStoreLow",
                expr=f"{store} > {low}",
                hold="5m",
                severity="ticket",
                code="LOG_STORE_LOW",
                summary="the log's store is {{ $value | humanizePercentage }} full",
                action="Plan for more room.",
            ),
            Rule(
                alert="DiskFull",
                expr=f"{free} < {LIMITS.disk_full_share} and bulkhead_disk_free_bytes < {LIMITS.disk_full_bytes}",
                severity="page",
                code="DISK_FULL",
                summary="{{ $value | humanizePercentage }} of the disk with the state folder are free",
                action="Make room now.",
            ),
            Rule(
                alert="DiskLow",
                expr=f"{free} < {LIMITS.disk_low_share} and bulkhead_disk_free_bytes < {LIMITS.disk_low_bytes}",
                hold="5m",
                severity="ticket",
                code="DISK_LOW",
                summary="{{ $value | humanizePercentage }} of the disk with the state folder are free",
                action="Plan for more room.",
            ),
            Rule(
                alert="ClockSkew",
                expr=f"abs(bulkhead_clock_offset_seconds) > {LIMITS.clock_ms_max / 1000}",
                hold="1m",
                severity="ticket",
                code="CLOCK_OFFSET",
                summary="our clock differs from the log server's by {{ $value | humanizeDuration }}",
                action="Is time synchronised on both machines?",
            ),
        ],
    )


def _backups() -> Group:
    return Group(
        name="backups",
        why="a backup that nobody has brought back is a hope",
        rules=[
            Rule(
                alert="BackupOld",
                expr=f"time() - bulkhead_backup_timestamp_seconds > {BACKUP_S_MAX:.0f}",
                severity="ticket",
                code="BACKUP_OLD",
                summary="the last backup is {{ $value | humanizeDuration }} old",
                action="See why `bulkhead backup` does not run.",
            ),
            Rule(
                alert="BackupMissing",
                expr='bulkhead_ready{service="gateway"} == 1 unless on () bulkhead_backup_timestamp_seconds',
                hold="1d",
                severity="ticket",
                code="BACKUP_OLD",
                summary="for a day this log has been kept without any backup",
                action="Run `bulkhead backup` on a schedule (docs/BACKUP_RECOVERY.md).",
            ),
            Rule(
                alert="RestoreUnproven",
                expr=f"time() - bulkhead_restore_proven_timestamp_seconds > {RESTORE_PROVEN_S_MAX:.0f}",
                severity="ticket",
                code="RESTORE_UNPROVEN",
                summary="no backup has been seen to come back for {{ $value | humanizeDuration }}",
                action="Run `bulkhead backup drill`.",
            ),
        ],
    )


def _model(settings: AlertSettings) -> Group:
    return Group(
        name="model",
        why="the rules decide alone meanwhile: never a page",
        rules=[
            Rule(
                alert="ModelFailing",
                expr=f"bulkhead:model_failed:ratio_increase1h > {settings.alert_model_failed_share_max}"
                f" and bulkhead:model_asked:increase1h >= {LIMITS.model_asked_min}",
                severity="ticket",
                code="MODEL_FAILURE_RATE",
                summary="{{ $value | humanizePercentage }} of the last hour's questions to the model failed",
                action="`bulkhead_model_askings_total` by `end` says how; the rules decide alone meanwhile.",
            ),
            Rule(
                alert="ModelRouteClosed",
                expr='max by (name) (bulkhead_breaker_state{service="agent-llm"}) == 2',
                hold="10m",
                severity="ticket",
                code="MODEL_FAILING",
                summary="the model has not been asked for ten minutes: its breaker is open",
                action="See `logs/agent-llm.log`.",
            ),
        ],
    )


def _people() -> Group:
    guesses = 'sum by (service, door) (increase(bulkhead_access_refused_total{why="BAD_TOKEN"}[10m]))'
    return Group(
        name="people",
        why="whoever should be told, and whoever should not be let in",
        rules=[
            Rule(
                alert="ChannelDown",
                expr='max by (name) (bulkhead_breaker_state{service="notifier"}) == 2',
                hold="2m",
                severity="page",
                code="CHANNEL_DOWN",
                summary="the notifier's channel {{ $labels.name }} does not take messages: nobody hears of anything but from here",
                action="Is its token good, and the service reachable? Messages wait.",
            ),
            Rule(
                alert="TokensGuessed",
                expr=f"{guesses} > 20",
                severity="ticket",
                code="ACCESS_REFUSED_OFTEN",
                summary="{{ $value | humanize }} wrong tokens within ten minutes at {{ $labels.door }}",
                action="See AccessRefused in the log for the address.",
            ),
        ],
    )
