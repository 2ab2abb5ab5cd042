"""The chart as a kustomization, for `kubectl apply -k`: what Helm renders with the chart's own values is the base, and each overlay is what differs.

    chart + nothing ──▶ base          chart + values/<overlay>.yaml ──▶ the same objects, others, or fewer ──▶ patches, objects, deletions

So there is one source: nobody edits what stands here. Hooks and tests are Helm's own and are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import yaml

Object = dict[str, Any]
Key = tuple[str, str, str]

RELEASE = "bulkhead"
OVERLAYS = ("dev", "paper", "live")
HEAD = "# Written by `python -m deploy.k8s.generate` from the chart; `make docs` writes it again.\n"
HOOK = "helm.sh/hook"


def rendered(chart: Path, values: Object) -> dict[Key, Object]:
    """What a first install would make, without hooks, each object by its version, kind and name."""
    with helm_python.Chart.load(chart) as loaded:
        files = loaded.render(values, name=RELEASE, namespace="", is_install=True)
    texts = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    objects = [each for text in texts for each in yaml.safe_load_all(text) if each]
    return {key_of(each): each for each in objects if HOOK not in each["metadata"].get("annotations", {})}


def key_of(found: Object) -> Key:
    """By what an object is known."""
    return found["apiVersion"], found["kind"], found["metadata"]["name"]


def values_of(chart: Path, overlay: str) -> Object:
    """What an overlay says to the chart."""
    found: Object = yaml.safe_load((chart / "values" / f"{overlay}.yaml").read_text())
    return found


def files(chart: Path, here: Path) -> dict[Path, str]:
    """Every file of base and overlays with its text."""
    base = rendered(chart, {})
    found = {
        here / "base" / "bulkhead.yaml": HEAD + _documents(base.values()),
        here / "base" / "kustomization.yaml": HEAD + _yaml(_kustomization(resources=["bulkhead.yaml"])),
    }
    for overlay in OVERLAYS:
        found |= _overlay(here / "overlays" / overlay, overlay, base, rendered(chart, values_of(chart, overlay)))
    return found


def manifest(chart: Path, overlay: str) -> str:
    """An overlay as one file, for `kubectl apply -f`: its namespace, and everything in it."""
    namespace = f"bulkhead-{overlay}"
    objects = rendered(chart, values_of(chart, overlay)).values()
    placed = [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in objects]
    return _documents([_namespace(namespace), *placed])


def _overlay(folder: Path, name: str, base: dict[Key, Object], wanted: dict[Key, Object]) -> dict[Path, str]:
    added = [each for key, each in wanted.items() if key not in base]
    patches = [{"target": _target(key), "patch": _yaml(_deletion(base[key]))} for key in base if key not in wanted]
    patches += [
        {"target": _target(key), "patch": _yaml(list(changes))}
        for key, each in wanted.items()
        if key in base and (changes := list(_changes(base[key], each)))
    ]
    namespace = f"bulkhead-{name}"
    resources = ["../../base", "namespace.yaml", *(["added.yaml"] if added else [])]
    found = {
        folder / "kustomization.yaml": HEAD
        + _yaml(_kustomization(namespace=namespace, resources=resources, patches=patches)),
        folder / "namespace.yaml": HEAD + _yaml(_namespace(namespace)),
    }
    if added:
        found[folder / "added.yaml"] = HEAD + _documents(added)
    return found


def _kustomization(**fields: Any) -> Object:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **fields}


def _namespace(name: str) -> Object:
    """A pod that wants more than the restricted profile does not come up in it."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _target(key: Key) -> Object:
    group, _, version = key[0].rpartition("/")
    return {**({"group": group} if group else {}), "version": version, "kind": key[1], "name": key[2]}


def _deletion(found: Object) -> Object:
    return {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {"name": found["metadata"]["name"]},
        "$patch": "delete",
    }


def _changes(old: Any, new: Any, path: str = "") -> Iterator[Object]:
    """What makes `new` of `old`, as JSON Patch (RFC 6902); a list that differs is replaced whole."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield {"op": "replace", "path": path, "value": new}
        return
    for name in old:
        where = f"{path}/{_escaped(name)}"
        if name not in new:
            yield {"op": "remove", "path": where}
        else:
            yield from _changes(old[name], new[name], where)
    for name in new:
        if name not in old:
            yield {"op": "add", "path": f"{path}/{_escaped(name)}", "value": new[name]}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _documents(objects: Any) -> str:
    return "---\n".join(_yaml(each) for each in objects)


def _yaml(found: Any) -> str:
    plain = json.loads(json.dumps(found))  # no anchors for what stands twice
    return yaml.safe_dump(plain, sort_keys=False, width=160, allow_unicode=True)
