"""What runs the commands that our pages name: a test, as pytest names it, or a transcript under docs/proof of what somebody ran by hand. A style test holds every page to it:
a command that nothing has run stands here, or the page says "*not executed here*" under its block."""

from __future__ import annotations

COMPOSE = "tests/e2e/test_compose.py"
CLI = "tests/e2e/test_cli.py"
CLUSTER = "docs/proof/kubernetes.txt"
FAULTS = "tests/style/test_documented_commands.py::test_faults_that_are_shown_are_faults_that_there_are"
NATS_CLI = "tests/e2e/test_nats_cli.py::test_every_command_of_the_page_works_as_the_observer"

OWN: dict[str, str] = {
    "backtest": "tests/unit/cli/test_backtest.py::test_the_same_input_and_settings_give_the_same_answer",
    "backup": "tests/e2e/test_backup.py::test_a_backup_is_the_log_and_only_what_is_new_is_copied_again",
    "backup drill": "tests/e2e/test_backup.py::test_a_drill_proves_the_way_back_and_tells_the_log",
    "backup trials": "tests/e2e/test_backup_facts.py::test_one_command_covers_the_log_and_what_no_log_makes",
    "backup verify": "tests/e2e/test_backup.py::test_a_backup_is_the_log_and_only_what_is_new_is_copied_again",
    "deploy identity": "tests/unit/cli/test_deploy_sealing.py::test_the_command_says_whether_they_lie_on_a_disk",
    "deploy keys": "tests/unit/cli/test_deploy_keys.py::test_the_command_says_what_it_made_and_no_secret",
    "deploy monitoring": "tests/unit/cli/test_deploy_monitoring.py::test_alertmanager_may_bring_alerts_and_nothing_else",
    "deploy seal": "tests/unit/cli/test_deploy_sealing.py::test_the_command_says_whether_they_lie_on_a_disk",
    "deploy token": "tests/unit/cli/test_deploy_keys.py::test_a_token_is_known_to_the_gateway_and_shown_once",
    "deploy unseal": "tests/unit/cli/test_deploy_sealing.py::test_the_command_says_whether_they_lie_on_a_disk",
    "doctor": f"{CLI}::test_doctor_looks_at_the_running_bus",
    "graduate": "tests/unit/cli/test_graduate.py::test_an_override_is_on_record_with_exactly_what_was_not_shown",
    "halt": f"{CLI}::test_an_operator_halts_and_resumes",
    "import": "tests/unit/cli/test_importing.py::test_importing_twice_changes_nothing_and_overlapping_files_join",
    "ledger rebuild": "tests/e2e/test_disasters.py::test_a_lost_database_is_made_again_from_log_and_backup",
    "ledger verify": f"{CLI}::test_the_journal_of_a_running_stack_is_proven",
    "log epochs": "tests/e2e/test_epochs_stack.py::test_a_stack_trades_on_while_its_log_rolls_over",
    "log roll": "tests/e2e/test_epochs_stack.py::test_a_stack_trades_on_while_its_log_rolls_over",
    "monitoring": "tests/unit/cli/test_monitoring.py::test_every_service_of_the_stack_is_a_target_under_its_name",
    "performance": "tests/unit/cli/test_performance.py::test_every_figure_is_told_apart_by_agent_and_by_hour",
    "record": "tests/e2e/test_record.py::test_everything_published_is_recorded_byte_for_byte",
    "replay": f"{CLI}::test_replay_proves_a_real_log",
    "restore": "tests/e2e/test_backup.py::test_a_restored_book_is_the_same_log_and_halted",
    "resume": f"{CLI}::test_an_operator_halts_and_resumes",
    "risk explain": "tests/unit/cli/test_verdicts.py::test_a_dump_explains_its_verdicts",
    "status": f"{CLI}::test_status_says_what_log_and_services_say",
    "strategy check": "tests/unit/cli/test_strategy.py::test_a_new_agent_has_its_own_name_and_passes_the_check",
    "strategy new": "tests/unit/cli/test_strategy.py::test_a_new_agent_has_its_own_name_and_passes_the_check",
    "token create": "tests/e2e/test_gateway_process.py::test_a_token_is_made_listed_and_revoked_while_the_gateway_runs",
    "token list": "tests/e2e/test_gateway_process.py::test_a_token_is_made_listed_and_revoked_while_the_gateway_runs",
    "token revoke": "tests/e2e/test_gateway_process.py::test_a_token_is_made_listed_and_revoked_while_the_gateway_runs",
    "top": "tests/e2e/test_looking.py::test_top_says_what_status_says",
    "trace": f"{CLI}::test_trace_tells_an_intent_from_bar_to_message",
    "up": "tests/e2e/test_gateway_process.py::test_up_brings_a_console_and_prints_the_way_into_it",
    "validate": "tests/unit/cli/test_validate.py::test_a_clean_strategy_gets_sentences_with_numbers_and_its_trials_are_counted",
}
"""Sub-commands of `bulkhead`. That each option exists is looked up in the command itself."""

UP_MODES: dict[str, str] = {
    "paper": "tests/e2e/test_paper_mode.py::test_a_live_market_is_traded_on_paper_without_a_key",
    "live": "tests/e2e/test_live_mode.py::test_a_live_stack_trades_at_the_real_venue_by_an_override_that_is_on_record",
}
"""What runs `bulkhead up` in a mode. The market of these tests is our own venue, which speaks as Binance does."""

MAKE: dict[str, str] = {
    "dev": "tests/e2e/test_gateway_process.py::test_up_brings_a_console_and_prints_the_way_into_it",
    "test": ".ci/run",
    "load": "docs/proof/load.txt",
}
"""Targets of the Makefile: what they do is run by these; that they are there is looked up."""

MODULES: dict[str, str] = {
    "services.cli.deploy.secret_manifests": "tests/unit/deploy/test_chart.py::test_the_manifests_of_secrets_hold_the_files_and_nothing_else_does",
    "services.market_feed.refilter": "tests/unit/market_feed/test_refilter.py::test_a_recording_is_judged_from_the_command_line",
    "services.model_sim": "tests/unit/model_sim/test_server.py::test_a_script_is_played_one_behaviour_a_request_and_its_last_one_stays",
    "services.telegram_sim": "tests/unit/telegram_sim/test_server.py::test_what_is_sent_can_be_read",
}
"""Modules that are run with `python -m`."""

OTHERS: dict[str, str] = {
    # whole commands by a pattern from their first letter on; the first that fits counts
    r"docker compose build": f"{COMPOSE}::deployment",
    r"docker compose up -d( --build)? --wait": f"{COMPOSE}::test_it_trades_and_the_trade_is_everywhere",
    r"docker compose ps": f"{COMPOSE}::test_a_container_of_ours_is_a_small_place",
    r"docker compose logs -f order-executor": f"{COMPOSE}::test_a_lost_log_is_not_replaced_by_an_empty_one",
    r"docker (compose down|volume (rm|ls) .*|run --rm --user 0:0 .* /bring_back.py)": f"{COMPOSE}::test_a_lost_log_comes_back_from_its_backup",
    r"kubectl create namespace book": f"{CLUSTER}#kubectl create ns book",
    r"kubectl label namespace book .*": f"{CLUSTER}#kubectl label ns book pod-security.kubernetes.io/enforce=restricted",
    r"kubectl apply -k deploy/k8s/overlays/dev": f"{CLUSTER}#kubectl apply -k deploy/k8s/overlays/",
    r"kubectl apply -f -": f"{CLUSTER}#Secrets by services.cli.deploy.secret_manifests",
    r"helm install bulkhead deploy/k8s/chart --namespace book --values deploy/k8s/chart/values/dev.yaml .*": f"{CLUSTER}#helm install bulkhead",
    r"helm upgrade bulkhead deploy/k8s/chart .* --rollback-on-failure .*": f"{CLUSTER}#--rollback-on-failure --wait",
    r"helm (history|rollback) bulkhead .*": f"{CLUSTER}#helm rollback bulkhead 1 --wait",
    r"helm test bulkhead .*": f"{CLUSTER}#helm test bulkhead",
    r"look .*": NATS_CLI,
    r"alias look=nats .*": NATS_CLI,
    r"prometheus --config.file=.*": "tests/e2e/test_monitoring.py::test_a_stack_is_seen_by_prometheus_and_heard_of_when_its_feed_stops",
    r"alertmanager --config.file=.*": "tests/e2e/test_monitoring.py::test_a_stack_is_seen_by_prometheus_and_heard_of_when_its_feed_stops",
    r"curl (-d .*|-X DELETE) \$SIM": FAULTS,
    r"curl -d .* \$HANDS/(deposit|cancel|sell|liquidate|delist)": "tests/e2e/test_exchange_sim_other_hands.py::test_a_position_is_liquidated",
    r"curl (-d .* )?\$URL/sim/(script|seen)": "tests/unit/model_sim/test_server.py::test_a_script_is_played_one_behaviour_a_request_and_its_last_one_stays",
    r"curl -s http://127.0.0.1:\$_/sim/(sent|script).*": "tests/unit/telegram_sim/test_server.py::test_what_is_sent_can_be_read",
    r"curl -sN? -H \$T .*/api/v1/.*": "tests/e2e/test_gateway_routes.py::test_what_is_shown_is_what_the_log_says",
    r"pgbackrest --stanza=bulkhead .*": "docs/proof/pitr.txt#incr backup",
    r"createdb bulkhead": "tests/e2e/test_disasters.py::test_a_lost_database_is_made_again_from_log_and_backup",
}
"""Everything else."""

PLAIN = frozenset(("alias", "cat", "cd", "chmod", "echo", "export", "grep", "mkdir", "printf", "umask"))
"""Words of any shell; what they do needs no proof of ours."""
