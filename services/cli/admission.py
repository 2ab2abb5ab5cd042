"""How agents of a user come into a stack: found, judged, tried, kept, plugged in, in this order, before anything is started.

What was tried is what runs: `up` keeps a copy of each file in `agents/` of the state folder and starts that one, so that editing a strategy
changes nothing until the next `up`. The verdict is kept beside it and believed as long as file, settings and trial are the same. The trial
is a process of its own with a deadline: it is the first that runs a line of the file.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from libs.runtime.config_file import read_config
from libs.runtime.plugin import Plugin, PluginRefused, find_file, judged, load_plugin, service_of
from libs.runtime.plugin_trial import BARS, SEED, Verdict, trial_version
from libs.runtime.registry import plug_in, settings_of
from services.cli.claiming import HomeError, home_lock, writing_into
from services.cli.exit_codes import CANNOT_WRITE, CONFIG, UNAVAILABLE, Failure
from services.cli.stack import StackSettings, passed_on
from services.cli.stack_keys import StackError

FOLDER = "agents"
TRIAL_S_MAX = 60.0
VARIABLE = "BULKHEAD_AGENTS_EXTRA"
EARS = "BULKHEAD_PORTFOLIO_AGENTS"
CURE = f"correct the file, or take it out of {VARIABLE}; `bulkhead strategy check FILE` tells the same"


class _Kept(msgspec.Struct, frozen=True):
    """A verdict and what it is about."""

    key: str
    verdict: Verdict


def admit(settings: StackSettings, environment: Mapping[str, str], say: Callable[[str], None]) -> tuple[Plugin, ...]:
    """Plug in the agents that the settings name, or none of them.

    Raises:
        Failure: one may not run; the text says which and why. Or the state folder cannot be written.
    """
    try:
        with _alone_in(settings):
            found = [_admitted(item, settings.home, environment, say) for item in settings.agents_extra]
        plug_in(*found)
    except PluginRefused as error:
        raise Failure(CONFIG, f"an agent is refused:\n{error}", CURE) from error
    except HomeError as error:
        raise Failure(CANNOT_WRITE, str(error), error.cure) from error
    except StackError as error:
        raise Failure(UNAVAILABLE, str(error), "stop that stack, or give this one a state folder of its own") from error
    if found:
        say(heard(tuple(plugin.agent_id for plugin in found), environment))
    return tuple(found)


def recall(home: Path, items: tuple[str, ...]) -> list[str]:
    """Plug in the agents that are named, and those that ran in this state folder: a log can only be proved by who wrote it.
    Returns a line for each that cannot be had any more."""
    found: dict[str, Plugin] = {}
    missing = []
    for item in (*items, *(str(path) for path in sorted((home / FOLDER).glob("*.py")))):
        try:
            agent_id = judged(find_file(item))
            if agent_id not in found:
                found[agent_id] = load_plugin(item)
        except PluginRefused as error:
            missing.append(f"what this agent said is taken as input, not proved: {error}")
    plug_in(*found.values())
    return missing


def heard(agent_ids: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Whether the portfolio listens to them, in words."""
    default = str(settings_of("portfolio").model_fields["portfolio_agents"].default)
    written = read_config(environment).entries.get(EARS)
    ears = (environment.get(EARS) or (written.value if written else "") or default).split(",")
    if deaf := [each for each in agent_ids if each not in ears]:
        wish = ",".join([*ears, *deaf])
        return f"the portfolio does not hear {', '.join(deaf)}; {EARS}={wish} lets it"
    return f"the portfolio hears {', '.join(ears)}: it enters when all of them are ready and enough of them LONG"


@contextmanager
def _alone_in(settings: StackSettings) -> Iterator[None]:
    """A stack that runs restarts its agents from the copies: nobody else may replace them meanwhile."""
    if not settings.agents_extra:
        yield
        return
    with writing_into(settings.home), home_lock(settings.home):
        yield


# --- one agent ----------------------------------------------------------------------------------------------------


def _admitted(item: str, home: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> Plugin:
    path = find_file(item)
    agent_id = judged(path)
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text, copy = path.read_bytes(), folder / f"{agent_id}.py"
    key = _key(agent_id, text, environment)
    verdict = _believed(copy, text, key)
    if verdict is None:
        say(f"{service_of(agent_id)}: trying {item} on generated markets …")
        verdict = _tried_apart(copy, text, environment)
        if not verdict.may_run:
            raise PluginRefused(f"{item}: {verdict.flaw}")
        _write(copy.with_suffix(".json"), msgspec.json.encode(_Kept(key, verdict)))
    say(f"{service_of(agent_id)}: {item} {passed(verdict)}")
    return load_plugin(str(copy))


def tried(path: Path, environment: Mapping[str, str], limit_s: float, *, bars: int = BARS, seed: int = SEED) -> Verdict:
    """The verdict on the agent in `path`, from a process of its own."""
    command = [sys.executable, "-m", "libs.runtime.plugin_trial", str(path), str(bars), str(seed)]
    env = {**passed_on("a trial", environment), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, timeout=limit_s, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Verdict(
            flaw=f"its trial was not over after {limit_s:g} s: an endless loop, or far too slow for {bars} bars"
        )
    try:
        return msgspec.json.decode(done.stdout, type=Verdict)
    except msgspec.MsgspecError:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        return Verdict(flaw="\n".join([f"its trial ended with code {done.returncode}", *words]))


def passed(verdict: Verdict) -> str:
    """What an agent has shown, in words."""
    opinions = sum(each.opinions for each in verdict.rehearsals)
    answers = sum(each.answers for each in verdict.rehearsals)
    bases = ", ".join(each.base for each in verdict.rehearsals)
    return (
        f"does not look ahead: {answers} answers with {opinions} opinions on {bases} bars, each held against its prefix"
    )


def _tried_apart(copy: Path, text: bytes, environment: Mapping[str, str]) -> Verdict:
    """Try these very bytes, and keep them as `copy` if they may run."""
    draft = copy.parent / "on_trial" / copy.name
    draft.parent.mkdir(exist_ok=True, mode=0o700)
    try:
        draft.write_bytes(text)
        verdict = tried(draft, environment, TRIAL_S_MAX)
        if verdict.may_run:
            draft.replace(copy)
    finally:
        draft.unlink(missing_ok=True)
    return verdict


def _believed(copy: Path, text: bytes, key: str) -> Verdict | None:
    """The verdict of an earlier `up`, if it is about this file, these settings, this trial and the libraries of today."""
    try:
        kept = msgspec.json.decode(copy.with_suffix(".json").read_bytes(), type=_Kept)
        if kept.key != key or not kept.verdict.may_run or copy.read_bytes() != text:
            return None
        return kept.verdict if load_plugin(str(copy)).version == kept.verdict.version else None
    except (OSError, msgspec.MsgspecError, PluginRefused):  # none yet, or of another version: it is tried again
        return None


def _key(agent_id: str, text: bytes, environment: Mapping[str, str]) -> str:
    prefix = f"BULKHEAD_AGENT_{agent_id}_".upper()
    told = sorted((name, value) for name, value in environment.items() if name.upper().startswith(prefix))
    digest = hashlib.blake2b(text, digest_size=16)
    digest.update(f"{trial_version()} {told}".encode())
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_bytes(content)
    os.replace(draft, path)
