"""The subjects of the audit: what is to hold, and what shows that it does. Nothing here is a verdict."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tests.audit import facts

ACCESS = "tests/e2e/test_gateway_access.py"
COMPOSE = "tests/unit/deploy/test_compose_file.py"
CHART = "tests/unit/deploy/test_chart.py"
IMAGES = "tests/unit/deploy/test_images.py"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `tests` are files or single tests; `tool` is a command that is run and read (`facts`), and `fact` a figure to tell beside what the tests say."""

    name: str
    holds: str
    tests: tuple[str, ...] = ()
    fact: Callable[[], str] | None = None
    tool: facts.Tool | None = None

    @property
    def command(self) -> str:
        """What shows it again."""
        of_tests = f".venv/bin/python -m pytest {' '.join(self.tests)}" if self.tests else ""
        return " && ".join(filter(None, (self.tool.command if self.tool else "", of_tests)))


SUBJECTS = (
    Subject(
        name="key storage",
        holds="keys are files for their owner alone, each mounted where it is needed, and sealed where they rest",
        tests=(
            "tests/unit/runtime/test_private_files.py",
            "tests/unit/cli/test_keys.py",
            "tests/unit/cli/test_deploy_keys.py",
            "tests/unit/cli/test_deploy_sealing.py",
            "tests/e2e/test_nats_zones.py::test_connect_options_refuse_a_key_others_can_read",
            f"{CHART}::test_a_service_mounts_its_own_secret_and_no_other",
        ),
    ),
    Subject(
        name="credentials",
        holds="a secret given as a value is refused; tokens are stored as digests; each is changed by command; one service alone holds the venue's key",
        tests=(
            "tests/unit/runtime/test_bare_secrets.py",
            "tests/unit/cli/test_deploy_fleet.py",
            "tests/unit/cli/test_deploy_rotation.py",
            "tests/unit/gateway/test_tokens.py",
            "tests/unit/order_executor/test_settings.py",
        ),
    ),
    Subject(
        name="hard-coded secrets",
        holds="no secret in a file, in the history, in a manifest or in a variable",
        tests=(
            "tests/style/test_secret_scan.py",
            f"{COMPOSE}::test_no_secret_stands_in_a_variable",
            f"{CHART}::test_what_is_rendered_holds_no_secret",
        ),
        fact=facts.scanned,
    ),
    Subject(
        name="input validation",
        holds="what cannot be believed is refused at every edge, and changes nothing",
        tests=(
            "tests/e2e/test_bad_input.py",
            "tests/unit/runtime/test_hostile_events.py",
            "tests/e2e/test_gateway_schema.py",
            f"{ACCESS}::test_a_body_is_small_and_comes_in_time",
            f"{ACCESS}::test_what_is_no_http_ends_the_connection",
            f"{ACCESS}::test_hostile_values_change_nothing",
        ),
    ),
    Subject(
        name="rate limits",
        holds="every route of the gateway has one, guessing is slowed down, and no number of strangers fills the memory",
        tests=(
            "tests/unit/gateway/test_rates.py",
            f"{ACCESS}::test_every_route_has_its_limits",
            f"{ACCESS}::test_who_guesses_is_told_about_but_does_not_fill_the_log",
            "tests/e2e/test_telegram_bot.py::test_too_many_requests_are_refused_but_a_halt_is_heard",
        ),
    ),
    Subject(
        name="SQL injection",
        holds="no statement is put together from anything but names of our own",
        tests=("tests/style/test_sql.py", "tests/style/test_bandit.py"),
        fact=facts.names_in_sql,
    ),
    Subject(
        name="bot token",
        holds="the token comes from a file, is told nowhere, and holding it is no authority: people are known, confirm, and show a code",
        tests=(
            "tests/unit/notifier/test_settings.py",
            "tests/unit/cli/test_doctor_edges.py::test_what_telegram_refuses_is_told_without_the_token",
            "tests/unit/telegram_bot/test_admission.py",
            "tests/unit/telegram_bot/test_codes.py",
            "tests/e2e/test_telegram_bot.py::test_strangers_and_groups_get_no_answer_and_leave_a_record",
            "tests/e2e/test_telegram_bot.py::test_no_word_moves_money",
        ),
    ),
    Subject(
        name="log contents",
        holds="no secret leaves a process in a text: by value, by shape or by name; a line that cannot be made safe is dropped",
        tests=("tests/unit/runtime/test_redaction.py", "tests/unit/runtime/test_logs.py", "tests/e2e/test_secrets.py"),
    ),
    Subject(
        name="dependency updates",
        holds="every lock is hashed and names no host; a release cools down for a week before it is locked; exceptions carry a day and a reason",
        tests=("tests/unit/deploy/test_locks.py",),
        fact=facts.locks,
    ),
    Subject(
        name="age of locked releases",
        holds="with the cool-down the resolver arrives at the very locks that are here: nothing in them is younger",
        tool=facts.AGES,
    ),
    Subject(
        name="known vulnerabilities",
        holds="no locked release has one that is known today",
        tool=facts.VULNERABILITIES,
    ),
    Subject(
        name="start-up hooks",
        holds="whatever runs by itself when an interpreter starts was reviewed; anything else is refused before it has run",
        tests=("tests/unit/cli/test_startup.py",),
        tool=facts.HOOKS,
    ),
    Subject(
        name="imports of each image",
        holds="what a service can reach is in its image's lock, in the version that was tested",
        tests=(
            f"{IMAGES}::test_an_image_holds_whatever_its_service_imports",
            f"{IMAGES}::test_a_missing_package_is_found",
            f"{IMAGES}::test_images_hold_the_versions_that_are_tested",
            f"{IMAGES}::test_every_lock_is_made_by_make_lock",
        ),
    ),
    Subject(
        name="forbidden packages",
        holds="who holds the venue's key has no model library and no web framework; who speaks to a model can sign nothing",
        tests=(f"{IMAGES}::test_an_image_does_not_hold_what_it_must_never_run",),
        fact=facts.executors_packages,
    ),
    Subject(
        name="container hardening",
        holds="nobody is root, nothing can be written but state, no capability, no new rights, no more than the restricted profile",
        tests=(
            f"{COMPOSE}::test_everything_of_ours_is_nobody",
            f"{COMPOSE}::test_every_secret_is_a_file_that_deploy_keys_makes",
            f"{CHART}::test_no_pod_may_more_than_the_restricted_profile",
        ),
    ),
    Subject(
        name="network zones",
        holds="no network leads outside, each way out has a list, and on the bus each says and hears what its contract says",
        tests=(
            f"{COMPOSE}::test_no_network_leads_outside",
            f"{COMPOSE}::test_a_way_out_has_the_names_of_its_list",
            "tests/unit/deploy/test_network_matrix.py",
            "tests/e2e/test_nats_zones.py",
            "tests/e2e/test_egress.py",
        ),
    ),
    Subject(
        name="model output",
        holds="an answer outside its form is no vote, an attack that a model repeats decides nothing, and no vote originates, flips or enlarges",
        tests=(
            "tests/unit/signal_agents/llm/test_answer.py",
            "tests/unit/signal_agents/llm/test_texts.py",
            "tests/unit/signal_agents/llm/test_client.py",
            "tests/unit/signal_agents/test_model_cannot_worsen.py",
        ),
    ),
    Subject(
        name="static analysis",
        holds="ruff's S rules and bandit find nothing of weight that nobody has explained",
        tests=("tests/style/test_bandit.py",),
        tool=facts.RUFF,
    ),
)
