"""What `bulkhead doctor` looks at beyond the machine: ports, every service's settings, recorded data, the bus, the database.

Settings are loaded as each service would load them, with the environment the supervisor would give it. What the supervisor makes
on its first run (keys) is made in a temporary folder for the occasion: looking changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from libs.runtime.nats_config import ADMIN_USER, API, KeysError
from libs.runtime.plugin import Plugin, PluginRefused, load_plugin
from libs.runtime.provision import verify
from libs.runtime.recording_manifest import MANIFEST, RecordingError, is_dataset, read_manifest
from libs.runtime.registry import contracts, plug_in
from libs.runtime.setting_rules import Verdict
from libs.runtime.settings import SettingsError
from services.cli.admission import CURE
from services.cli.child import ChildSpec
from services.cli.child_settings import VENUE, judged_together, load_child, nobody_there
from services.cli.claiming import check_ports
from services.cli.doctor import Finding, Level
from services.cli.doctor_console import check_console
from services.cli.doctor_database import check_database
from services.cli.doctor_edges import check_model, check_people
from services.cli.doctor_health import examine_health
from services.cli.doctor_silence import check_silence
from services.cli.doctor_venue import clock_finding, examine_venue
from services.cli.doctor_warm_up import check_warm_up
from services.cli.environment import unknown_settings
from services.cli.exit_codes import Failure, failing_clearly
from services.cli.observer import connected, somebody_listens
from services.cli.place import Place, stack_settings
from services.cli.stack import GATEWAY, Ports, StackSettings, running, service_specs, venue_specs
from services.cli.stack_keys import GATE_KEY, VENUE_KEY, VENUE_SECRET, StackError

MODEL_AGENT = "agent-llm"
ASK_S_MAX = 3.0
MS_NS = 1_000_000


def examine_stack(settings: StackSettings, place: Place, data: Path | None) -> list[Finding]:
    """Every check of the stack's settings, and of the stack itself if it runs."""
    findings = [*check_agents(settings), check_stack_ports(settings, place)]
    loaded, complaints = load_all(settings, os.environ)
    verdicts = judged_together(loaded.values()) if not complaints else []
    findings += complaints or [_settings_finding(each) for each in verdicts]
    cure = "correct it, or name the agent's file in BULKHEAD_AGENTS_EXTRA"
    findings += [Finding("settings", "WARN", line, cure) for line in nobody_there(loaded.values())]
    if all(each.level == "OK" for each in findings[1:]):
        findings += [Finding("settings", "OK", f"of {len(loaded)} processes, each by itself and together")]
    data = data or getattr(loaded.get(VENUE), "sim_data", None)
    findings += [
        Finding("settings", "WARN", line, "correct its name, or remove it") for line in unknown_settings(os.environ)
    ]
    findings += [check_data(data)] if data is not None else []
    findings += asyncio.run(_examine_world(settings, place, loaded))
    return findings


async def _examine_world(settings: StackSettings, place: Place, loaded: Mapping[str, Any]) -> list[Finding]:
    """What has to be asked of others; of those whose settings are known."""
    live = settings.mode == "live"
    bus = await check_bus(place)
    found = [bus, *(each for each in await examine_health(place) if each.text != bus.text)]
    found += await check_bus_clock(place) if bus.level == "OK" else []
    if GATEWAY in loaded or not settings.gateway:  # else its settings are refused, and that is told
        found += [await check_console(loaded.get(GATEWAY), place, Ports(settings.port_base))]
    found += [check_database(loaded["ledger"], settings.home, live=live)] if "ledger" in loaded else []
    found += await examine_venue(loaded["order-executor"], live=live) if "order-executor" in loaded else []
    found += [await check_warm_up(loaded)] if "market-feed" in loaded else []
    found += [await check_people(loaded["notifier"])] if "notifier" in loaded else []
    found += [check_silence(loaded["notifier"], live=live)] if "notifier" in loaded else []
    found += [await check_model(loaded[MODEL_AGENT])] if MODEL_AGENT in loaded else []
    return found


def _settings_finding(verdict: Verdict) -> Finding:
    level: Level = "FAIL" if verdict.level == "danger" else "WARN"
    cure = "correct it" if level == "FAIL" else "correct it, or leave it if it is meant"
    return Finding("settings", level, verdict.text, f"{cure}; docs/limits.md has every rule")


# --- agents, ports and data -----------------------------------------------------------------------------------------------


def check_agents(settings: StackSettings) -> list[Finding]:
    """A finding for each agent of the user's; those that may run are plugged in. Their trial is `up`'s."""
    found: dict[str, Plugin] = {}
    findings = []
    for item in settings.agents_extra:
        try:
            plugin = load_plugin(item)
        except PluginRefused as error:
            findings.append(Finding("agents", "FAIL", str(error), CURE))
            continue
        found[plugin.service] = plugin
        findings.append(Finding("agents", "OK", f"{plugin.service} is {item}"))
    plug_in(*found.values())
    return findings


def check_stack_ports(settings: StackSettings, place: Place) -> Finding:
    """Free, or held by the stack of this very state folder."""
    ports = Ports(settings.port_base)
    if place.is_supervised:
        return Finding("ports", "OK", f"in use by this stack (supervisor pid {place.supervisor_pid})")
    wanted = {"nats-server": ports.nats, "nats-server monitor": ports.monitor}
    wanted |= {VENUE: ports.sim} if settings.has_own_venue else {}
    try:
        check_ports(wanted | {name: ports.service(name) for name in settings.services})
    except StackError as error:
        text, _, cure = str(error).partition("; ")
        return Finding("ports", "FAIL", text, cure or "end who uses them, or set BULKHEAD_PORT_BASE")
    return Finding("ports", "OK", f"{ports.base} to {ports.service(running()[-1])} are free")


def check_data(folder: Path) -> Finding:
    """The folder holds recorded market data."""
    if is_dataset(folder):
        return _check_dataset(folder)
    files = sorted(folder.glob("*_*.gz")) if folder.is_dir() else []
    if not files:
        cure = "name a folder with files like btcusdt_20240809.gz, or one of `bulkhead record`, or none for a generated market"
        return Finding("data", "FAIL", f"{folder} holds no recorded frames", cure)
    size = sum(path.stat().st_size for path in files)
    return Finding("data", "OK", f"{len(files)} recordings, {size / 1e6:,.1f} MB in {folder}")


def _check_dataset(folder: Path) -> Finding:
    try:
        manifest = read_manifest(folder / MANIFEST)
    except RecordingError as error:
        return Finding("data", "FAIL", str(error), "record or import it again into a new folder")
    files = list(folder.rglob("*.parquet"))
    size = sum(path.stat().st_size for path in files)
    text = f"{len(files)} Parquet files, {manifest.origin}, {size / 1e6:,.1f} MB in {folder}"
    if manifest.gaps:
        lost = sum(gap.count for gap in manifest.gaps)
        return Finding("data", "WARN", f"{text}; {lost:,} messages are missing from it", "see its recording.json")
    return Finding("data", "OK", text)


# --- settings -----------------------------------------------------------------------------------------------------


def load_all(settings: StackSettings, environment: Mapping[str, str]) -> tuple[dict[str, Any], list[Finding]]:
    """The settings of every process of the stack by name, and a finding for each that refuses its own."""
    loaded, complaints = {}, []
    with tempfile.TemporaryDirectory(prefix="bulkhead-doctor-") as spare:
        try:
            specs = _specs(settings, environment, Path(spare))
        except (StackError, KeysError) as error:
            return {}, [Finding("settings", "FAIL", str(error), "correct the key file named above")]
        for spec in specs:
            try:
                loaded[spec.name] = load_child(spec)
            except SettingsError as error:
                complaints.append(Finding(f"settings of {spec.name}", "FAIL", str(error), "correct what is named"))
    return loaded, complaints


def every_complaint(error: SettingsError, home: Path | None, environment: Mapping[str, str]) -> SettingsError:
    """`error` of the stack's own settings, and after it what every process would say of its own: one correction, not one a start."""
    try:
        settings = stack_settings(home, strict=False)
    except SettingsError:  # where the stack would be is not known
        return error
    _, found = load_all(settings, environment)
    lines = [line for text in (str(error), *(each.text for each in found)) for line in text.splitlines()]
    return SettingsError("\n".join(dict.fromkeys(lines)))


def _specs(settings: StackSettings, environment: Mapping[str, str], spare: Path) -> list[ChildSpec]:
    made = settings.home / "keys"
    wanted = [GATE_KEY, *([VENUE_KEY, VENUE_SECRET] if settings.has_own_venue else [])]
    if not all((made / name).exists() for name in wanted):  # a first run
        settings = settings.model_copy(update={"home": spare})
    return [*venue_specs(settings, environment), *service_specs(settings, environment)]


# --- the bus ------------------------------------------------------------------------------------------------------


async def check_bus(place: Place) -> Finding:
    """If a bus runs: it accepts our keys, and is configured as this code needs it."""
    if not await somebody_listens(place.nats_url):
        where = f" at {place.nats_url}" if place.is_known else ""
        return Finding("bus", "OK", f"does not run{where}; `bulkhead up` starts it")
    try:
        with failing_clearly():
            async with connected(place, ADMIN_USER, API) as bus:
                differences = await verify(bus.client, contracts())
    except Failure as failure:
        return Finding("bus", "FAIL", failure.text, failure.cure)
    if differences:
        cure = "was it made by another version? `bulkhead up` creates what is missing, and never repairs what differs"
        return Finding("bus", "FAIL", "; ".join(differences), cure)
    return Finding("bus", "OK", f"runs at {place.nats_url}, every stream and consumer as needed")


async def check_bus_clock(place: Place) -> list[Finding]:
    """The bus, which may be on another machine, has our time; nothing if it does not run or does not answer (`check_bus`)."""
    if not await somebody_listens(place.nats_url):
        return []
    try:
        with failing_clearly():
            async with connected(place, ADMIN_USER, API) as bus:
                began = time.time_ns()
                reply = await bus.client.request(f"{API}.STREAM.INFO.{place.stream}", b"", timeout=ASK_S_MAX)
                ended = time.time_ns()
    except Failure:
        return []
    said = msgspec.json.decode(reply.data).get("ts", "")
    shown = round(datetime.fromisoformat(said).timestamp() * 1000) if said else None
    drift_ms = shown - (began + ended) // 2 // MS_NS if shown is not None else None
    return [clock_finding("bus clock", "the bus", drift_ms)]
