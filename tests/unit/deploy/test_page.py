"""The commands in docs/KUBERNETES.md name files, values, Secrets and workloads that there are."""

from __future__ import annotations

import re
import shlex

from deploy.k8s.generate import PAGE
from services.cli.deploy.secret_manifests import files_of_each, secret_name
from tests.unit.deploy.rendering import RELEASE, Object, named, of_kind, overlay, refusal, render

ROOT = PAGE.parents[1]


def commands() -> list[str]:
    """Every line of a shell block."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def options(command: str, name: str) -> list[str]:
    words = shlex.split(command)
    return [words[place + 1] for place, word in enumerate(words) if word == name]


def test_files_that_are_named_are_there() -> None:
    """Charts, values files and overlays, and modules that are run."""
    text = "\n".join(commands())
    paths = re.findall(r"(?<![\w./-])deploy/k8s/[\w./-]+", text)
    assert len(paths) > 6
    assert [path for path in paths if not (ROOT / path).exists()] == []
    modules = re.findall(r"python -m ([\w.]+)", text)
    assert modules
    assert [each for each in modules if not (ROOT / f"{each.replace('.', '/')}.py").exists()] == []


def test_what_is_set_is_taken_by_the_chart() -> None:
    """Each `--set` of the page is a value that the schema knows."""
    found = 0
    for command in commands():
        values: Object = {}
        for setting in options(command, "--set"):
            *way, last = setting.partition("=")[0].split(".")
            inner = values
            for part in way:
                inner = inner.setdefault(part, {})
            inner[last] = "1.0"
            found += 1
        assert refusal(values) == "", command
    assert found > 2


def test_the_certificate_and_the_operators_secrets_are_called_as_the_overlay_calls_them() -> None:
    """Made by hand, read by name."""
    text = "\n".join(commands())
    objects = render(overlay("live"))
    volumes = named(objects, "Job", "open-first")["spec"]["template"]["spec"]["volumes"]
    (certificate,) = [each["configMap"]["name"] for each in volumes if each["name"] == "certificate"]
    assert f"create configmap {certificate} --from-file=certificate.json" in text
    spec = named(objects, "Cluster", "postgres")["spec"]
    owner = spec["bootstrap"]["initdb"]["secret"]["name"]
    for name in (spec["certificates"]["serverTLSSecret"], spec["certificates"]["serverCASecret"], owner):
        assert name in text


def test_the_secret_that_is_made_by_hand_has_the_files_of_its_process() -> None:
    """As an example it is only worth something if it is whole."""
    (command,) = [each for each in commands() if secret_name(RELEASE, "risk-gate") in each]
    files = re.findall(r"keys/([\w.-]+)", command)
    assert sorted(files) == sorted(files_of_each()["risk-gate"])


def test_workloads_that_are_asked_are_there() -> None:
    """Services to forward to, the pod of the command line, the job whose words one reads."""
    objects = render()
    kinds = {"svc": of_kind(objects, "Service"), "deploy": of_kind(objects, "Deployment")}
    found = re.findall(r"(?<=\s)(svc|deploy|job)/([a-z-]+)(?![\w/])", PAGE.read_text())
    assert {kind for kind, _ in found} == {"svc", "deploy", "job"}
    for kind, name in found:
        assert name in kinds.get(kind, {"open", "open-first"}), f"{kind}/{name}"
