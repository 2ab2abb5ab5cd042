"""Base and overlays: `kubectl apply -k` makes what Helm makes, and nobody has edited them by hand."""

from __future__ import annotations

import copy
import shutil
import subprocess
from functools import cache

import pytest
import yaml

from deploy.k8s import kustomization
from deploy.k8s.generate import CHART, HERE
from deploy.k8s.kustomization import OVERLAYS, key_of
from tests.unit.deploy.rendering import Object, overlay

BUILDS = next(
    (command for command in (["kubectl", "kustomize"], ["kustomize", "build"]) if shutil.which(command[0])), None
)
needs_kustomize = pytest.mark.skipif(BUILDS is None, reason="neither kubectl nor kustomize is installed here")


@cache
def written() -> dict[str, str]:
    return {str(path.relative_to(HERE)): text for path, text in kustomization.files(CHART, HERE).items()}


@pytest.mark.parametrize("path", sorted(written()))
def test_base_and_overlays_are_what_the_chart_renders(path: str) -> None:
    """There is one source; `make docs` writes them again."""
    assert (HERE / path).exists(), "run: make docs"
    assert (HERE / path).read_text() == written()[path], f"{path} is out of date; run: make docs"


def test_no_file_stands_there_that_nothing_writes() -> None:
    """An overlay of a former time would still be applied by somebody."""
    found = {str(path.relative_to(HERE)) for top in ("base", "overlays") for path in (HERE / top).rglob("*.yaml")}
    assert found == set(written())


def wanted(name: str) -> dict[tuple[str, str, str], Object]:
    """What Helm makes of an overlay's values."""
    return kustomization.rendered(CHART, overlay(name))


def patched(name: str) -> dict[tuple[str, str, str], Object]:
    """What the overlay's files make of the base, by the words of RFC 6902."""
    folder = HERE / "overlays" / name
    found = {key_of(each): each for each in yaml.safe_load_all((HERE / "base" / "bulkhead.yaml").read_text())}
    text = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for patch in text["patches"]:
        target = patch["target"]
        group = f"{target['group']}/" if "group" in target else ""
        key = (f"{group}{target['version']}", target["kind"], target["name"])
        changes = yaml.safe_load(patch["patch"])
        if isinstance(changes, dict):
            assert changes["$patch"] == "delete"
            del found[key]
            continue
        found[key] = copy.deepcopy(found[key])
        for change in changes:
            _apply(found[key], change)
    if "added.yaml" in text["resources"]:
        added = yaml.safe_load_all((folder / "added.yaml").read_text())
        found |= {key_of(each): each for each in added}
    return found


def _apply(found: Object, change: Object) -> None:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in change["path"].split("/")[1:]]
    for part in way:
        found = found[part]
    if change["op"] == "remove":
        del found[last]
    else:
        assert (change["op"] == "add") == (last not in found)
        found[last] = change["value"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_says_what_helm_says(name: str) -> None:
    """Base and patches together are the chart with the overlay's values, object by object."""
    assert patched(name) == wanted(name)


@needs_kustomize
@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_builds_what_helm_renders(name: str) -> None:
    """By the real tool: the same objects, each in the overlay's own namespace, and the namespace itself."""
    assert BUILDS is not None
    built = subprocess.run([*BUILDS, str(HERE / "overlays" / name)], capture_output=True, text=True, check=True).stdout
    found = {key_of(each): each for each in yaml.safe_load_all(built)}
    namespace = found.pop(("v1", "Namespace", f"bulkhead-{name}"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"].pop("namespace") for each in found.values()} == {f"bulkhead-{name}"}
    assert found == wanted(name)


def test_the_overlays_differ_in_what_a_mode_is() -> None:
    """Dev simulates, paper follows the live market without a key, live has no venue of ours."""
    modes = {name: wanted(name)["v1", "ConfigMap", "bulkhead-settings"]["data"]["BULKHEAD_MODE"] for name in OVERLAYS}
    assert modes == {"dev": "sim", "paper": "paper", "live": "live"}
    assert ("apps/v1", "Deployment", "exchange-sim") not in wanted("live")
