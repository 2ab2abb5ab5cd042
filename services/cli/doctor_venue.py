"""What `bulkhead doctor` asks the venue: is our key one, what may it do, how far apart are the clocks, is everything traded.

The questions are the executor's own (its adapter, loaded by name as the settings are), so that the doctor sees what it will see.
"""

from __future__ import annotations

import asyncio
import stat
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from libs.common.messages import VenueChecked
from libs.runtime.clock import ClockUnavailable, open_clock
from libs.runtime.redaction import redact
from libs.runtime.registry import module_of
from services.cli.doctor import Finding
from services.cli.observer import somebody_listens

CLOCK_S_MAX = 3.0
CHECK_S_MAX = 10.0
DRIFT_MS_WARN, DRIFT_MS_FAIL = 500, 2_000
"""The executor signs with the venue's clock; but ages of prices are told in ours, and 2 s is how old one may be."""
KEY_CURE = (
    "make a new key at the venue, without withdrawals and bound to this machine's address, and put it into the files"
)
CLOCK_CURE = "let NTP (chrony, systemd-timesyncd) set this machine's clock"


async def examine_venue(executor: Any, *, live: bool = False) -> list[Finding]:
    """Every check of the venue that is traded, with the key that is used. Nothing is asked of a simulated venue that does not run:
    `bulkhead up` starts it; a venue of live mode it does not start."""
    url = executor.exec_venue_url
    if live and "exec_venue_url" not in executor.model_fields_set:
        cure = "name its REST root in BULKHEAD_EXEC_VENUE_URL: real orders go to no place by default"
        return [Finding("venue", "FAIL", "nobody has said which venue is traded", cure)]
    if not live and is_local(url) and not await somebody_listens(url):
        return [Finding("venue", "OK", f"does not run at {url}; `bulkhead up` starts it")]
    found = [check_credentials(executor)]
    if found[0].level == "FAIL":
        return found
    try:
        said = await ask_venue(executor)
    except (ClockUnavailable, TimeoutError) as error:
        text = f"{url} does not answer: {redact(str(error)) or 'nothing within ten seconds'}"
        return [*found, Finding("venue", "FAIL", text, "is the venue up, and the network? Then look again")]
    return found + findings_of(said, executor.instruments, live=live, on_wall_time=not executor.clock_url)


def is_local(url: str) -> bool:
    """Whether `url` is of this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def check_credentials(executor: Any) -> Finding:
    """The files are there, for their owner alone, and hold what this venue issues (its settings have looked at the form)."""
    files = [executor.exec_api_key_file, executor.exec_api_secret_file]
    files += [executor.exec_api_passphrase_file] if executor.exec_api_passphrase_file else []
    try:
        credentials = executor.credentials()
    except ValueError as error:
        return Finding("credentials", "FAIL", redact(str(error)), "correct the file named")
    if credentials[0] == credentials[1]:
        return Finding("credentials", "FAIL", "key and secret are the same", "one of the two files holds the other's")
    modes = ", ".join(f"{path.name} {mode_of(path):04o}" for path in files)
    return Finding("credentials", "OK", f"in the form of {executor.exec_venue or 'a venue'}: {modes}")


def mode_of(path: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


async def ask_venue(executor: Any) -> VenueChecked:
    """What the venue says of our key, our clock and our instruments.

    Raises:
        ClockUnavailable: the simulated venue's clock is silent. TimeoutError: nobody answers in time.
    """
    # imported first, for as long as that takes: a clock that is followed wants to be heard meanwhile
    probe = import_module(f"{module_of('order-executor')}.adapters.venue_probe").probe
    clock = open_clock(executor.clock_url)
    await clock.connect(CLOCK_S_MAX)
    try:
        async with asyncio.timeout(CHECK_S_MAX):
            said: VenueChecked = await probe(executor, clock)
            return said
    finally:
        await clock.close()


def findings_of(
    said: VenueChecked, instruments: tuple[str, ...], *, live: bool, on_wall_time: bool = True
) -> list[Finding]:
    """What follows from the venue's words. In live trading what it does not say is taken for the worst, as the executor takes it."""
    if not said.ok:
        cure = "is the venue up, and the network? Then look again"
        return [Finding("venue", "FAIL", f"no answer to any question: {said.detail}", cure)]
    return [
        _of_the_key(said, live),
        *([_of_the_clock(said.clock_drift_ms)] if on_wall_time else []),
        _of_instruments(said.tradable, instruments, said.detail),
    ]


def _of_the_key(said: VenueChecked, live: bool) -> Finding:
    if said.can_withdraw:
        return Finding("venue key", "FAIL", "it may withdraw: who steals it takes the money", KEY_CURE)
    if said.can_trade is False:
        return Finding("venue key", "FAIL", "neither it nor its account may trade", KEY_CURE)
    unsaid = [name for name in ("can_trade", "can_withdraw", "ip_restricted") if getattr(said, name) is None]
    if unsaid:
        text = f"the venue does not say: {', '.join(unsaid)}; {said.detail}".rstrip("; ")
        return Finding("venue key", "FAIL" if live else "WARN", text, f"is it revoked or mistyped? Else {KEY_CURE}")
    if not said.ip_restricted:
        text = "it works from any address: who steals it can trade"
        return Finding("venue key", "FAIL" if live else "WARN", text, KEY_CURE)
    return Finding("venue key", "OK", "may trade, may not withdraw, is bound to addresses")


def _of_the_clock(drift_ms: int | None) -> Finding:
    return clock_finding("venue clock", "the venue", drift_ms)


def clock_finding(check: str, whose: str, drift_ms: float | None) -> Finding:
    """What a distance of two clocks means."""
    if drift_ms is None:
        return Finding(check, "WARN", f"{whose} does not tell its time", "look again")
    text = f"{whose} is {abs(drift_ms):.0f} ms {'ahead' if drift_ms >= 0 else 'behind'}"
    if abs(drift_ms) > DRIFT_MS_FAIL:
        return Finding(check, "FAIL", text, CLOCK_CURE)
    return Finding(check, "WARN", text, CLOCK_CURE) if abs(drift_ms) > DRIFT_MS_WARN else Finding(check, "OK", text)


def _of_instruments(tradable: tuple[str, ...] | None, instruments: tuple[str, ...], detail: str) -> Finding:
    if tradable is None:
        return Finding("instruments", "WARN", f"the venue does not say what is traded; {detail}", "look again")
    missing = [name for name in instruments if name not in tradable]
    if missing:
        return Finding(
            "instruments",
            "WARN",
            f"not traded there now: {', '.join(missing)}",
            "correct BULKHEAD_INSTRUMENTS, or wait",
        )
    return Finding("instruments", "OK", f"{len(instruments)}, all traded")
