"""What several rules and panels read, worked out once."""

from __future__ import annotations

from services.cli.monitoring.rules import Group, Record
from services.cli.monitoring.settings import AlertSettings

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
FAILED = 'outcome=~"REJECTED|UNKNOWN|NEVER_SENT"'
NOBODY_ASKED = "not_configured|breaker_open|budget"


def recorded(settings: AlertSettings) -> Group:
    """All recording rules."""
    submissions = "bulkhead_exec_submit_seconds_count"
    orders = [
        Record(
            record=f"bulkhead:orders_failed:ratio_rate{window}",
            expr=f"sum(rate({submissions}{{{FAILED}}}[{window}])) / sum(rate({submissions}[{window}]))",
        )
        for window in WINDOWS
    ]
    asked = f'sum(increase(bulkhead_model_askings_total{{end!~"{NOBODY_ASKED}"}}[1h]))'
    failed = f'sum(increase(bulkhead_model_askings_total{{end!~"answered|{NOBODY_ASKED}"}}[1h]))'
    halt = settings.risk_drawdown_halt
    return Group(
        name="bulkhead-recorded",
        why="read by several rules and panels",
        rules=[
            *orders,
            Record(record="bulkhead:model_asked:increase1h", expr=asked),
            Record(record="bulkhead:model_failed:ratio_increase1h", expr=f"{failed} / {asked}"),
            Record(
                record="bulkhead:drawdown:ratio",
                expr="max(bulkhead_book_drawdown_ratio) or "
                f'max(bulkhead_risk_limit_used_ratio{{limit="drawdown_halt"}}) * {halt}',
            ),
            Record(
                record="bulkhead:win_rate:ratio",
                expr='sum(bulkhead_round_trips_total{outcome="WON"}) / (sum(bulkhead_round_trips_total) > 0)',
            ),
            Record(
                record="bulkhead:venue_weight:ratio",
                expr="max by (venue) (bulkhead_venue_weight_used) / max by (venue) (bulkhead_venue_weight_limit)",
            ),
        ],
    )
