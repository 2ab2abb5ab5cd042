"""The dashboards about machines: services, log, room and people; agents, models and the prices they live on."""

from __future__ import annotations

from services.cli.monitoring.boards_of_the_book import ASKED, BREAKER, YES
from services.cli.monitoring.panels import RATE, Board, Row, lines, quantile, stat

JOB = 'job="bulkhead"'
AGENTS_ONLY = 'service=~"agent-.*|portfolio"'

SYSTEM_HEALTH = Board(
    uid="bulkhead-system-health",
    file="system_health",
    title="Bulkhead: system health",
    description="Whether every service works, keeps up with the log and has room, and whether people and backups can be relied on.",
    rows=(
        Row(
            "Services",
            (
                stat("Answer to Prometheus", "1 for each service that was scraped.", "none", f"up{{{JOB}}}", legend="{{instance}}", width=12, red_below=1, states=YES),
                stat("Say that they can work", "What the gateway was told at its last look.", "none", "max by (name) (bulkhead_service_ready)", legend="{{name}}", width=12, red_below=1, states=YES),
                lines("Last sign of life", "Seconds since each service answered the gateway.", "s", ("time() - max by (name) (bulkhead_service_answered_timestamp_seconds)", "{{name}}")),
                lines("Starts", "As the log counts them.", "none", ("max by (name) (bulkhead_service_starts_total)", "{{name}}")),
                lines("Code that runs", "One line for each version; more than one for long is a roll-out that stopped half-way.", "none", ("count by (code_version) (bulkhead_build_info)", "{{code_version}}")),
                lines("Processor", "Cores that each service uses.", "short", (f"rate(process_cpu_seconds_total{{{JOB}}}[{RATE}])", "{{instance}}"), width=12),
                lines("Memory", "What each service holds.", "bytes", (f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}"), width=12),
            ),
        ),
        Row(
            "The log",
            (
                lines("Inputs", "Events that each service handles.", "eps", (f"sum by (service) (rate(bulkhead_inputs_total[{RATE}]))", "{{service}}")),
                lines("Appended", "What grows the log.", "eps", (f"sum by (type) (rate(bulkhead_appended_total[{RATE}]))", "{{type}}")),
                lines("Events to read", "The lag of each service behind the log.", "none", ("max by (service) (bulkhead_log_lag)", "{{service}}")),
                lines("Growth of the log", "Events a second, as the fastest reader sees it.", "eps", ("max(deriv(bulkhead_log_tail_seq[1m]))", "events")),
                lines("Append, 99 of 100", "From sending an append to its acknowledgement: the bus and its disk.", "s", (quantile("0.99", "bulkhead_append_seconds", "service"), "{{service}}")),
                lines("Handling one input, 99 of 100", "The machine alone.", "s", (quantile("0.99", "bulkhead_handle_seconds", "service"), "{{service}}")),
                lines("Not yet in the log", "Decided, and waiting for the bus.", "none", ("max by (service) (bulkhead_outbox)", "{{service}}"), width=12),
                lines("Requests under way", "To the world, without an answer.", "none", ("max by (service) (bulkhead_pending_requests)", "{{service}}"), width=12),
            ),
        ),
        Row(
            "Database, room, backups",
            (
                lines("Database behind the log", "The age of the oldest event that is not in SQL.", "s", ("max(bulkhead_ledger_projection_lag_seconds)", "age"), width=6),
                lines("Events not in SQL", "Read from the log, not committed.", "none", ("max(bulkhead_ledger_projection_lag_events)", "events"), width=6),
                lines("Store of the bus", "Used, of what it may use.", "percentunit", ("max(bulkhead_bus_store_bytes) / max(bulkhead_bus_store_limit_bytes)", "used"), width=6),
                lines("Disk", "What is free on the disk with the state folder.", "bytes", ("min(bulkhead_disk_free_bytes)", "free"), ("min(bulkhead_disk_size_bytes)", "size"), width=6),
                stat("Newest backup", "When it was made.", "dateTimeFromNow", "max(bulkhead_backup_timestamp_seconds) * 1000", width=6, empty_is_good="no backup was ever made: BackupMissing tells it after a day"),
                stat("Newest proof that one comes back", "When it was brought back.", "dateTimeFromNow", "max(bulkhead_restore_proven_timestamp_seconds) * 1000", width=6, empty_is_good="backups are not drilled"),
                stat("Our clock", "Less the log server's.", "s", "max(bulkhead_clock_offset_seconds)", width=6, empty_is_good="a simulated market has a clock of its own"),
                lines("Breakers", "0 CLOSED, 1 HALF_OPEN, 2 OPEN; what is behind an open one is not asked.", "none", ("max by (service, name) (bulkhead_breaker_state)", "{{service}} {{name}}"), width=6, states=BREAKER),
            ),
        ),
        Row(
            "People",
            (
                lines("Alerts of our own that are open", "Of those whose end is told.", "none", ("max by (code, severity) (bulkhead_alerts_open)", "{{code}} {{severity}}"), empty_is_good="no trouble is open"),
                lines("Alerts of the last hour", "By code, as they stand in the log.", "none", ("sum by (code) (increase(bulkhead_alerts_raised_total[1h])) > 0", "{{code}}"), empty_is_good="people were told of nothing"),
                lines("Prometheus' alerts", "What fires by the rules, but for the Watchdog.", "none", ('count by (alertname) (ALERTS{alertstate="firing",alertname!="Watchdog"})', "{{alertname}}"), empty_is_good="nothing fires"),
                lines("Requests to the gateway", "By status.", "eps", (f"sum by (status) (rate(bulkhead_http_requests_total[{RATE}]))", "{{status}}"), empty_is_good="nobody asked"),
                lines("First byte of an answer, 99 of 100", "By route.", "s", (quantile("0.99", "bulkhead_http_seconds", "route"), "{{route}}"), empty_is_good="nobody asked"),
                lines("Turned away", "By door and reason.", "eps", (f"sum by (door, why) (rate(bulkhead_access_refused_total[{RATE}]))", "{{door}} {{why}}"), empty_is_good="nobody was turned away"),
            ),
        ),
    ),
)  # fmt: skip

AGENTS = Board(
    uid="bulkhead-agents",
    file="agents",
    title="Bulkhead: agents",
    description="What the agents' opinions are worth, what the model does, and the prices they live on.",
    rows=(
        Row(
            "Opinions",
            (
                lines("Right votes", "The share of each agent's resolved votes that was right; little before some hundred votes.", "percentunit", ("max by (agent) (bulkhead_agent_hit_rate)", "{{agent}}"), empty_is_good="no vote is resolved yet"),
                lines("Resolved votes", "What the share rests on.", "none", ("max by (agent) (bulkhead_agent_votes_total)", "{{agent}}"), empty_is_good="no vote is resolved yet"),
                lines("Earned weight", "1 is as the agent says, 0 is heard and does not count.", "short", ("max by (agent) (bulkhead_agent_weight)", "{{agent}}"), empty_is_good="no vote is resolved yet"),
                lines("Inputs of the agents", "Events that they handle.", "eps", (f"sum by (service) (rate(bulkhead_inputs_total{{{AGENTS_ONLY}}}[{RATE}]))", "{{service}}"), width=12),
                lines("Agents behind the log", "Events to read; an opinion about the past is none.", "none", (f"max by (service) (bulkhead_log_lag{{{AGENTS_ONLY}}})", "{{service}}"), width=12),
            ),
        ),
        Row(
            "Model",
            (
                lines("Decisions by who drove them", "Of entries that a model was asked about: MODEL, or RULES as fallback.", "none", ("max by (driver) (bulkhead_model_decisions_total)", "{{driver}}")),
                lines("Askings by how they ended", "`answered`, or the failure; not_configured, breaker_open and budget asked nobody.", "none", ("sum by (end) (bulkhead_model_askings_total) > 0", "{{end}}"), empty_is_good=ASKED),
                lines("The model's breaker", "0 CLOSED, 1 HALF_OPEN, 2 OPEN.", "none", ('max by (name) (bulkhead_breaker_state{service="agent-llm"})', "{{name}}"), states=BREAKER),
            ),
        ),
        Row(
            "Prices",
            (
                lines("Who speaks", "1 for the venue whose prices are told, and how.", "none", ("max by (venue, via) (bulkhead_feed_speaks)", "{{venue}} {{via}}"), width=6),
                lines("Missing bars", "For how long the one missing for longest is missing.", "s", ("max by (timeframe) (bulkhead_feed_bar_overdue_seconds)", "{{timeframe}}"), width=6, empty_is_good="no bar has been waited for yet"),
                lines("Connections of the sockets", "A step is a reconnect.", "none", ("max by (venue, socket) (bulkhead_feed_epoch)", "{{venue}} {{socket}}"), width=6),
                lines("Odd frames", "Refused, repeated, late, or behind a hole.", "eps", (f"sum by (venue, reason) (rate(bulkhead_feed_odd_frames_total[{RATE}]))", "{{venue}} {{reason}}"), width=6, empty_is_good="no frame is odd"),
            ),
        ),
    ),
)  # fmt: skip
