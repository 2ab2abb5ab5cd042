"""What was found in an environment, judged and told: on the command line after an installation, in the build of an image, and by `bulkhead doctor`."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from services.cli.startup.hooks import Hook, found_in
from services.cli.startup.reviewed import APART, HOOKS, PLUGINS

ROOT = Path(__file__).resolve().parents[3]
VARIABLES = (
    "LD_AUDIT",
    "LD_PRELOAD",
    "PYTHONBREAKPOINT",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
)
"""Variables by which an environment makes an interpreter run, or find, something else."""
SHOWN_CHARS_MAX = 200
USAGE = "python3 -S -E -m services.cli.startup [--list] [--strict] [--with=<distribution>] ENVIRONMENT"
CURE = "start no Python in it: read the file; if nobody can explain it, delete the environment and change every secret that this machine can read"


class Verdict(NamedTuple):
    """All hooks of an environment; `refused` were not reviewed, `foreign` neither, but belong to the interpreter that the machine's owner installed."""

    hooks: list[Hook]
    refused: list[Hook]
    foreign: list[Hook]


def judged(
    prefix: Path, root: Path = ROOT, environment: Mapping[str, str] | None = None, beside: Iterable[str] = ()
) -> Verdict:
    """The environment at `prefix`, held against what was reviewed. With an `environment`, the folders in its PYTHONPATH are looked at as well; `beside` are
    distributions that may plug themselves in there (`reviewed.APART`).

    Raises:
        FileNotFoundError: no environment is there.
    """
    further = [Path(each) for each in (environment or {}).get("PYTHONPATH", "").split(os.pathsep) if each]
    hooks = found_in(prefix, root, further)
    unknown = [each for each in hooks if not is_reviewed(each, beside)]
    return Verdict(hooks, [each for each in unknown if each.is_ours], [each for each in unknown if not each.is_ours])


def is_reviewed(hook: Hook, beside: Iterable[str] = ()) -> bool:
    """Whether exactly this was read. A plugin must be entered by somebody of whom it is known."""
    if hook.kind == "plugin":
        is_known_apart = hook.owner in beside and hook.name in APART.get(hook.owner, ())
        return is_known_apart or hook.owner in PLUGINS.get(hook.name, ())
    read = {(each.kind, each.name, each.owner, each.digest) for each in HOOKS}
    return (hook.kind, hook.name, hook.owner, hook.digest) in read


def line_of(hook: Hook) -> str:
    """One hook for people: what, whose, where, and its digest."""
    whose = hook.owner or "nobody's"
    if hook.kind == "plugin":
        return f"plugin {hook.name} of {whose}: {', '.join(hook.text.splitlines())[:SHOWN_CHARS_MAX]}"
    return f"{hook.kind} {hook.name} ({whose}, sha256 {hook.digest}) at {hook.path}"


def set_variables(environment: Mapping[str, str]) -> list[str]:
    """The variables that make an interpreter run something else, as far as they are set."""
    return [each for each in VARIABLES if environment.get(each)]


def main(arguments: Iterable[str]) -> int:
    """Judge the environments that are named. `--list` tells all hooks, `--strict` refuses also what belongs to the interpreter itself, `--with=...` admits a distribution
    that has no business elsewhere. Returns the exit code: 1 where something is refused, 2 where there is nothing to judge.
    """
    arguments = list(arguments)
    beside = [each.removeprefix("--with=") for each in arguments if each.startswith("--with=")]
    options = [each for each in arguments if each.startswith("--") and not each.startswith("--with=")]
    prefixes = [each for each in arguments if not each.startswith("--")]
    if not prefixes or set(options) - {"--list", "--strict"}:
        print(USAGE, file=sys.stderr)
        return 2
    code = 0
    for prefix in prefixes:
        try:
            verdict = judged(Path(prefix), beside=beside)
        except FileNotFoundError as error:
            print(f"start-up hooks: {error}", file=sys.stderr)
            return 2
        if "--list" in options:
            print("\n".join(line_of(each) for each in verdict.hooks))
        refused = [*verdict.refused, *(verdict.foreign if "--strict" in options else ())]
        code = max(code, _tell(prefix, verdict, refused))
    return code


def _tell(prefix: str, verdict: Verdict, refused: list[Hook]) -> int:
    for each in refused:
        print(f"start-up hooks: NOT REVIEWED in {prefix}: {line_of(each)}", file=sys.stderr)
    for each in verdict.foreign if not refused else ():
        print(f"start-up hooks: the interpreter's own, not reviewed: {line_of(each)}", file=sys.stderr)
    if refused:
        print(f"start-up hooks: {CURE}", file=sys.stderr)
        return 1
    print(
        f"start-up hooks: {len(verdict.hooks)} in {prefix}, each reviewed"
        if not verdict.foreign
        else f"start-up hooks: {len(verdict.hooks)} in {prefix}"
    )
    return 0
