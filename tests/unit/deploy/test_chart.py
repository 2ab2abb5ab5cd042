"""The chart against the fleet: who runs, with which image, secrets, variables and rights, and what its values may not say."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import helm_python
import kubernetes_validate
import pytest

from deploy.k8s.cluster import MODES, ROLLING, UID
from deploy.k8s.generate import CHART, chart_files
from services.cli.deploy import fleet
from services.cli.deploy.secret_manifests import files_of_each, manifests, secret_name
from services.cli.newcomer import DEV_DEFAULTS
from services.cli.stack import StackSettings, service_specs
from tests.unit.deploy.rendering import (
    EXISTING,
    OVERLAYS,
    RELEASE,
    Object,
    named,
    of_kind,
    overlay,
    pod_of,
    refusal,
    render,
    told,
)

EVERYBODY: Object = {"services": {"telegram-bot": {"enabled": True}}}
VARIANTS: dict[str, Object] = {
    **{name: overlay(name) for name in OVERLAYS},
    "everybody": EVERYBODY,
    "existing": EXISTING,
}
WORKLOADS = ("Deployment", "StatefulSet", "Job", "Pod")
VERSIONS = ("1.31", "1.32", "1.33", "1.34", "1.35", "1.36")
OF_OPERATORS = ("monitoring.coreos.com/v1", "postgresql.cnpg.io/v1")
MEMBERS = {each.service: each for each in fleet.members()}


def workloads(objects: list[Object]) -> list[Object]:
    return [each for each in objects if each["kind"] in WORKLOADS]


def values_of(mode: str, **more: Any) -> Object:
    certificate = {"live": {"certificate": "bulkhead-certificate"}} if mode == "live" else {}
    return {"mode": mode, **EVERYBODY, **certificate, **more}


@pytest.mark.parametrize("path", chart_files(), ids=lambda path: path.name)
def test_what_the_chart_has_from_elsewhere_is_current(path) -> None:
    """The table of the fleet, the schema, rules and dashboards are what they would be if they were written now (`make docs` writes them)."""
    assert path.exists(), "run: make docs"
    assert path.read_text() == chart_files()[path], f"{path.name} is out of date; run: make docs"


def test_helm_finds_nothing_to_say_against_the_chart() -> None:
    """`helm lint --strict`, for every overlay; an icon is the one thing it misses."""
    for name in OVERLAYS:
        report = helm_python.lint(CHART, overlay(name), strict=True)
        assert [each for each in report["messages"] if each["severity"] > 1] == []
        assert report["errors"] == []


# --- what the API server would say -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_manifest_is_valid_for_every_supported_version(variant: str, version: str) -> None:
    """Strictly: an unknown field is an error. What operators define has no schema here."""
    objects = [each for each in render(VARIANTS[variant]) if each["apiVersion"] not in OF_OPERATORS]
    assert len(objects) > 40
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


def test_a_manifest_with_a_field_that_nobody_knows_is_found() -> None:
    """The check bites."""
    policy = named(render(), "NetworkPolicy", "default-deny")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**policy, "spec": {**policy["spec"], "policyType": []}}, "1.34", strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_two_objects_have_one_name(variant: str) -> None:
    """The second would overwrite the first."""
    names = [(each["kind"], each["metadata"]["name"]) for each in render(VARIANTS[variant])]
    assert len(names) == len(set(names))


# --- who runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_who_runs_is_who_is_in_the_fleet(mode: str) -> None:
    """Every member, the simulated venue except in live mode, the operator's pod, who copies the log, and nobody else."""
    beside = {fleet.CLI, fleet.BACKUP} | (set() if mode == "live" else {fleet.VENUE})
    assert set(of_kind(render(values_of(mode)), "Deployment")) == {*MEMBERS, *beside}


def test_who_is_optional_runs_only_where_somebody_says_so() -> None:
    """The bot wants a token first."""
    assert set(MEMBERS) - set(of_kind(render(), "Deployment")) == {"telegram-bot"}


def test_an_image_is_named_by_registry_prefix_service_and_version_or_digest() -> None:
    """Where images come from is one setting; which one it is may be pinned for each service."""
    digest = f"sha256:{'0a' * 32}"
    image = {"registry": "registry.test:5000", "prefix": "desk/", "tag": "1.2.3"}
    objects = render({"image": image, "services": {"ledger": {"digest": digest}}})
    images = {name: pod_of(each)["containers"][0]["image"] for name, each in of_kind(objects, "Deployment").items()}
    assert images["risk-gate"] == "registry.test:5000/desk/risk-gate:1.2.3"
    assert images["ledger"] == f"registry.test:5000/desk/ledger:1.2.3@{digest}"
    assert pod_of(named(render(), "Deployment", "gateway"))["containers"][0]["image"] == "bulkhead/gateway:0.1.0"


@pytest.mark.parametrize("service", MEMBERS)
def test_one_of_each_and_the_executor_never_beside_another(service: str) -> None:
    """Who has a volume goes before his successor comes; who has none comes before his predecessor goes."""
    spec = named(render(EVERYBODY), "Deployment", service)["spec"]
    assert spec["replicas"] == 1
    expected = {"type": "Recreate"}
    if service in ROLLING:
        expected = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}  # type: ignore[dict-item]
    assert spec["strategy"] == expected
    assert not (MEMBERS[service].is_lone and service in ROLLING)


def test_nothing_multiplies_a_writer_and_nothing_stops_a_drain() -> None:
    """No autoscaler; no disruption budget but that of a bus of three, which may always lose one."""
    objects = render({**EVERYBODY, "nats": {"replicas": 3}})
    assert of_kind(objects, "HorizontalPodAutoscaler") == {}
    budgets = of_kind(objects, "PodDisruptionBudget")
    assert {name: each["spec"]["maxUnavailable"] for name, each in budgets.items()} == {"nats": 1}
    assert of_kind(render(EVERYBODY), "PodDisruptionBudget") == {}


def test_the_operators_pod_knows_where_everything_is_and_may_be_left_out() -> None:
    """The command line finds the map that `bulkhead up` writes; who wants nobody to hold its keys all day switches it off."""
    objects = render(EVERYBODY)
    found = json.loads(named(objects, "ConfigMap", f"{RELEASE}-map")["data"]["stack.json"])
    assert found["services"] == {name: f"http://{name}:{fleet.HTTP_PORT}" for name in MEMBERS}
    assert found["nats_url"] == told(objects, "ledger")["BULKHEAD_NATS_URL"]
    assert (found["mode"], found["venue_url"]) == ("sim", "http://exchange-sim:4202")
    mounts = {
        each["mountPath"] for each in pod_of(named(objects, "Deployment", "cli"))["containers"][0]["volumeMounts"]
    }
    assert {"/state/stack.json", fleet.KEYS} <= mounts
    assert "cli" not in of_kind(render({"operator": {"enabled": False}}), "Deployment")


# --- what each may ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_pod_may_more_than_the_restricted_profile(variant: str) -> None:
    """Not root, nothing written outside its volumes, no capability, no token of the cluster."""
    for each in workloads(render(VARIANTS[variant], is_upgrade=variant == "paper")):
        pod = pod_of(each)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
        assert "initContainers" not in pod
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


@pytest.mark.parametrize("service", MEMBERS)
def test_a_service_is_stopped_started_and_asked_as_the_fleet_says(service: str) -> None:
    """Alive, ready and started are three questions; it gets the time it needs to end."""
    pod = pod_of(named(render(EVERYBODY), "Deployment", service))
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] == fleet.STOP_GRACE_S
    assert pod["securityContext"]["runAsUser"] == UID
    asked = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    ready = "/readyz?standby=ready" if service in ROLLING else "/readyz"
    assert asked == {"startup": "/livez", "liveness": "/livez", "readiness": ready}
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"http": fleet.HTTP_PORT, **({"api": fleet.GATEWAY_PORT} if service == "gateway" else {})}
    assert pod["topologySpreadConstraints"]


def test_what_lasts_longest_before_a_stop_fits_into_the_grace() -> None:
    """The gateway waits until nobody is sent to it any more, and then still has what a service needs to end."""
    pod = pod_of(named(render(), "Deployment", "gateway"))
    waited = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waited + 10 < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("service", MEMBERS)
def test_state_is_a_volume_or_can_be_made_again_from_the_log(service: str) -> None:
    """Snapshots and the watermark lie on a volume that a deleted release leaves behind, except for those who read everything again."""
    objects = render(EVERYBODY)
    volumes = {each["name"]: each for each in pod_of(named(objects, "Deployment", service))["volumes"]}
    if service in ROLLING:
        assert "emptyDir" in volumes["state"]
        return
    claim = named(objects, "PersistentVolumeClaim", volumes["state"]["persistentVolumeClaim"]["claimName"])
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


# --- secrets ----------------------------------------------------------------------------------------------------------


def mounted_secrets(workload: Object) -> dict[str, str]:
    """The Secrets of a pod by where they are mounted."""
    pod = pod_of(workload)
    names = {each["name"]: each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each}
    mounts = pod["containers"][0]["volumeMounts"]
    return {each["mountPath"]: names[each["name"]] for each in mounts if each["name"] in names}


@pytest.mark.parametrize("service", MEMBERS)
def test_a_service_mounts_its_own_secret_and_no_other(service: str) -> None:
    """Keys at /state/keys, for the pod's own group to read; the gateway also the tokens' digests."""
    workload = named(render(EVERYBODY), "Deployment", service)
    expected = {fleet.KEYS: secret_name(RELEASE, service)}
    if service == "gateway":
        expected["/state/tokens"] = f"{RELEASE}-gateway-tokens"
    assert mounted_secrets(workload) == expected
    assert {each["secret"]["defaultMode"] for each in pod_of(workload)["volumes"] if "secret" in each} == {0o440}


def test_every_secret_that_is_mounted_is_made_from_the_fleets_table() -> None:
    """What `bulkhead deploy secrets` makes is what the chart mounts, under the same names; the database's own is only mounted where it is ours."""
    mounted = {name for each in workloads(render(EVERYBODY)) for name in mounted_secrets(each).values()}
    made = {secret_name(RELEASE, process) for process in files_of_each()}
    assert mounted - {f"{RELEASE}-gateway-tokens"} == made
    assert {each.service: each.keys for each in fleet.members()}.items() <= files_of_each().items()


def test_a_secret_of_somebodys_own_making_takes_the_place_of_ours() -> None:
    """Sealed, synchronised from a vault, or made by hand: it only has to be named."""
    objects = render({"services": {"order-executor": {"existingSecret": "from-the-vault"}}})
    assert mounted_secrets(named(objects, "Deployment", "order-executor")) == {fleet.KEYS: "from-the-vault"}


def test_the_manifests_of_secrets_hold_the_files_and_nothing_else_does(tmp_path) -> None:
    """Each Secret has exactly the files of its process, byte for byte; nothing that Helm renders contains any of them."""
    names = sorted({name for files in files_of_each().values() for name in files})
    (tmp_path / "keys").mkdir()
    for number, name in enumerate(names):
        (tmp_path / "keys" / name).write_bytes(f"secret-{number}-of-{name}".encode())
    documents = [json.loads(each) for each in manifests(tmp_path, RELEASE, "book").split("---\n") if each]
    found = {each["metadata"]["name"]: each["data"] for each in documents}
    assert {name: sorted(data) for name, data in found.items()} == {
        secret_name(RELEASE, process): sorted(files) for process, files in files_of_each().items()
    }
    assert base64.b64decode(found["bulkhead-ledger-keys"][fleet.DATABASE_URL]).startswith(b"secret-")


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_rendered_holds_no_secret(variant: str) -> None:
    """No Secret object, no variable that gives one as a value, no key or URL with a password anywhere."""
    objects = render(VARIANTS[variant])
    assert of_kind(objects, "Secret") == {}
    text = json.dumps(objects)
    assert "PRIVATE KEY" not in text
    for each in workloads(objects):
        for container in pod_of(each)["containers"]:
            for variable in container.get("env", []):
                name, value = variable["name"], variable.get("value", "")
                assert name.endswith("_FILE") or not name.endswith(("SECRET", "TOKEN", "PASSWORD", "DATABASE_URL"))
                assert "@" not in value
                assert not (name.endswith("_FILE") and not value.startswith(("/state/", "/tls/")))


# --- variables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("service", MEMBERS)
def test_a_service_is_told_what_the_fleet_and_the_mode_say(mode: str, service: str) -> None:
    """Every variable of the fleet, except where a mode has another clock, market or venue."""
    market = "https://api.binance.com"
    expected = dict(MEMBERS[service].environment)
    if mode != "sim":
        del expected["BULKHEAD_CLOCK_URL"]
    if mode != "sim" and "BULKHEAD_FEED_VENUE_URL" in expected:
        expected["BULKHEAD_FEED_VENUE_URL"] = market
    if mode == "live" and "BULKHEAD_EXEC_VENUE_URL" in expected:
        expected["BULKHEAD_EXEC_VENUE_URL"] = market
    found = told(render(values_of(mode)), service)
    assert {name: found.get(name) for name in expected} == expected
    assert ("BULKHEAD_CLOCK_URL" in found) == (mode == "sim")
    assert found.get("BULKHEAD_SIM_FOLLOW_URL") == (market if mode == "paper" else None)


@pytest.mark.parametrize("mode", ["sim", "paper"])
def test_the_native_stack_and_the_chart_say_the_same_of_a_mode(mode: str, tmp_path) -> None:
    """Which clock, market and venue a service has is one decision, made by `bulkhead up` and by the chart alike: in the same variables."""
    ways = ("BULKHEAD_CLOCK_URL", "BULKHEAD_FEED_VENUE_URL", "BULKHEAD_EXEC_VENUE_URL", "BULKHEAD_SIM_FOLLOW_URL")
    settings = StackSettings(home=tmp_path, mode=mode)
    native = {each.name: each.env for each in service_specs(settings, {}) if each.name in MEMBERS}
    objects = render(values_of(mode))
    for service, env in native.items():
        ours, inside = told(objects, service), f"127.0.0.1:{settings.port_base + 2}"
        expected = {name: env[name].replace(inside, "exchange-sim:4202") for name in ways if env.get(name)}
        assert {name: ours[name] for name in ways if name in ours} == expected, service


def test_a_newcomers_taste_is_for_a_simulated_market_alone() -> None:
    """Short bars and wide ages make something happen within a minute; no real book wants them."""
    for mode in MODES:
        objects = render(values_of(mode, newcomer=True))
        for service, taste in DEV_DEFAULTS.items():
            found = told(objects, service)
            assert {name: found.get(name) for name in taste} == (taste if mode == "sim" else dict.fromkeys(taste)), mode


def test_what_an_operator_says_of_a_service_wins() -> None:
    """First what is said of the one service, then what is said to all, then our own taste."""
    values = {
        "newcomer": True,
        "settings": {"BULKHEAD_RISK_MACRO": "true", "BULKHEAD_LOG_LEVEL": "debug"},
        "services": {"ledger": {"environment": {"BULKHEAD_LOG_LEVEL": "error"}}},
    }
    objects = render(values)
    assert told(objects, "risk-gate")["BULKHEAD_RISK_MACRO"] == "true"
    assert told(objects, "risk-gate")["BULKHEAD_LOG_LEVEL"] == "debug"
    assert told(objects, "ledger")["BULKHEAD_LOG_LEVEL"] == "error"


def test_a_changed_setting_makes_new_pods_and_so_do_changed_keys() -> None:
    """Environments are read once: the template carries what they were."""

    def annotations(values: Object) -> dict[str, str]:
        found: dict[str, str] = named(render(values), "Deployment", "portfolio")["spec"]["template"]["metadata"][
            "annotations"
        ]
        return found

    plain = annotations({})
    assert annotations({"settings": {"BULKHEAD_LOG_LEVEL": "debug"}})["checksum/settings"] != plain["checksum/settings"]
    assert annotations({"keysRevision": "2"}) == {**plain, "bulkhead/keys-revision": "2"}


def test_each_door_knows_where_every_other_service_tells_how_it_is() -> None:
    """Its own page it needs nobody to tell."""
    objects = render(EVERYBODY)
    for door, variable in (("gateway", "BULKHEAD_GATEWAY_SERVICES"), ("telegram-bot", "BULKHEAD_TELEGRAM_SERVICES")):
        pages = dict(pair.split("=") for pair in told(objects, door)[variable].split(","))
        assert pages == {name: f"http://{name}:{fleet.HTTP_PORT}" for name in MEMBERS if name != door}
    names = told(render(), "gateway")["BULKHEAD_GATEWAY_SERVICES"]
    assert "telegram-bot" not in names


# --- the job ----------------------------------------------------------------------------------------------------------


def test_an_upgrade_is_opened_before_anything_changes_and_not_for_ever() -> None:
    """The job is a hook with a deadline: where it fails, Helm changes nothing, and what runs goes on."""
    job = named(render(is_upgrade=True), "Job", "open")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade,pre-rollback"
    assert job["spec"]["activeDeadlineSeconds"] == 300
    (container,) = pod_of(job)["containers"]
    assert container["args"] == ["deploy", "open"]
    assert container["image"] == "bulkhead/cli:0.1.0"
    assert "envFrom" not in container, "the ConfigMap is still the former release's when a hook runs"


def test_every_new_image_is_tried_before_an_old_one_is_ended() -> None:
    """By a hook before the one that migrates: with the images of the upgrade, without secrets, each loading its own service's code."""
    values = {**EVERYBODY, "image": {"tag": "0.2.0"}}
    objects = render(values, is_upgrade=True)
    job, opening = named(objects, "Job", "try"), named(objects, "Job", "open")
    weights = [int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in (job, opening)]
    assert weights == sorted(weights)
    assert weights[0] < weights[1]
    images = {each["name"]: each["image"] for each in pod_of(job)["containers"]}
    running = {name: pod_of(named(objects, "Deployment", name))["containers"][0]["image"] for name in MEMBERS}
    assert images == running
    assert not [each for each in pod_of(job)["volumes"] if "secret" in each]
    assert "try" not in of_kind(render(values), "Job")


@pytest.mark.parametrize("service", MEMBERS)
def test_what_is_tried_is_loaded_and_does_not_start(service: str) -> None:
    """The import comes back, also without settings: a process that began to run would complain of them, or never end."""
    (container,) = [
        each
        for each in pod_of(named(render(EVERYBODY, is_upgrade=True), "Job", "try"))["containers"]
        if each["name"] == service
    ]
    assert MEMBERS[service].module in container["command"][-1]
    command = [sys.executable, *container["command"][1:]]
    done = subprocess.run(
        command, cwd=CHART.parents[2], env={}, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_at_a_first_install_the_job_stands_beside_the_bus_that_it_waits_for() -> None:
    """A hook would wait for servers that come after it, with a volume that comes after it."""
    for values in VARIANTS.values():
        assert "annotations" not in named(render(values), "Job", "open-first")["metadata"]


def test_the_job_remembers_how_long_the_log_was() -> None:
    """On a volume that is there before the hook of an upgrade runs: in the place of a lost log no new one is begun."""
    for is_upgrade, name in ((False, "open-first"), (True, "open")):
        objects = render(is_upgrade=is_upgrade)
        volumes = {each["name"]: each for each in pod_of(named(objects, "Job", name))["volumes"]}
        claim = named(objects, "PersistentVolumeClaim", volumes["state"]["persistentVolumeClaim"]["claimName"])
        assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_so_many_servers_so_many_copies_of_the_log() -> None:
    """Three servers keep three copies; how many a bus of others keeps is said."""
    for values, copies in (({}, "1"), ({"nats": {"replicas": 3}}, "3"), (EXISTING, "3")):
        objects = render(values)
        job = next(each for each in objects if each["kind"] == "Job")
        env = {each["name"]: each["value"] for each in pod_of(job)["containers"][0]["env"]}
        assert env["BULKHEAD_LOG_REPLICAS"] == copies


# --- what is refused --------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Object, str]] = {
    "two executors": ({"services": {"order-executor": {"replicas": 2}}}, "replicas"),
    "two of any writer": ({"services": {"gateway": {"replicas": 0}}}, "replicas"),
    "the tag latest": ({"image": {"tag": "latest"}}, "tag"),
    "latest of others": ({"nats": {"image": {"tag": "latest-alpine"}}}, "tag"),
    "an unknown key": ({"imagePullPolicy": "Always"}, "imagePullPolicy"),
    "an unknown service": ({"services": {"agent-trnd": {}}}, "agent-trnd"),
    "a misspelt key of a service": ({"services": {"ledger": {"resource": {}}}}, "resource"),
    "an unknown mode": ({"mode": "real"}, "mode"),
    "two servers, which have no majority": ({"nats": {"replicas": 2}}, "replicas"),
    "a secret as a value": ({"settings": {"BULKHEAD_LLM_API_KEY": "sk-123"}}, "BULKHEAD_LLM_API_KEY"),
    "a variable that is not ours": ({"services": {"ledger": {"environment": {"PYTHONPATH": "/x"}}}}, "PYTHONPATH"),
    "a digest that is none": ({"services": {"ledger": {"digest": "sha256:abc"}}}, "digest"),
    "live without a certificate": ({"mode": "live"}, "certificate"),
    "a bus of others without its address": ({"nats": {"mode": "existing"}}, "url"),
    "a bus of others without its place": ({"nats": {"mode": "existing", "existing": {"url": "tls://x:4222"}}}, "peers"),
    "a required executor that is switched off": ({"services": {"order-executor": {"enabled": False}}}, "enabled"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_values_that_would_do_harm_are_refused_by_name(case: str) -> None:
    """Before anything is rendered, and with the key that is wrong."""
    values, word = REFUSED[case]
    assert word in refusal(values)


def test_values_that_are_right_are_not_refused() -> None:
    """Neither the overlays nor one executor said aloud."""
    assert [refusal(values) for values in VARIANTS.values()] == [""] * len(VARIANTS)
    assert refusal({"services": {"order-executor": {"replicas": 1}}}) == ""
