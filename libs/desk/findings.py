"""What a person should look at: which findings there are, how bad each is, and how it is said. One rule for the command line, the console and the bot.

`findings_of` is what is wrong with a status. A screen that somebody watches also shows what he may not have seen yet (`findings_on_screen`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from libs.desk.lines import AlertLine
from libs.desk.saying import day_and_time_of
from libs.desk.standing import Unlocked
from libs.desk.status import Status

PAGE_SHOWN_NS = 3_600_000_000_000
"""For so long a page stands among the findings of a screen."""

Tone = Literal["bad", "warn"]


class Finding(msgspec.Struct, frozen=True):
    """Something to look at. `bad`: money is at stake or nothing goes on; `trace` is what to ask the story of ("": nothing)."""

    tone: Tone
    text: str
    trace: str = ""


def findings_of(status: Status) -> list[Finding]:
    """What is wrong, the worst first; empty when all is well."""
    return _worst_first([*_of_the_book(status), *_of_prices(status), *_of_the_services(status)])


def findings_on_screen(status: Status, alerts: Iterable[AlertLine], now: int) -> list[Finding]:
    """What is wrong, what woke somebody within the last hour before `now` (ns), and what is not known yet; the worst first."""
    found = findings_of(status)
    found += [] if status.feed["state"] else [Finding("bad", "the feed is silent")]
    found += [
        Finding("bad", f"{alert.code}: {alert.text}", alert.trace)
        for alert in alerts
        if alert.severity == "page" and now - alert.ts < PAGE_SHOWN_NS
    ]
    found += [Finding("warn", "books and venue have not been compared yet")] if status.reconciled is None else []
    return _worst_first(found)


def _worst_first(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda each: each.tone != "bad")


def _of_the_book(status: Status) -> list[Finding]:
    found = [
        Finding("bad", f"{each.instrument}: of {each.signed_qty} only {each.stopped_qty} has a stop")
        for each in status.uncovered
    ]
    found += [
        Finding(
            "bad",
            f"{each.instrument} is quarantined, order {each.cl_ord_id}: {each.reason}",
            f"order:{each.cl_ord_id}",
        )
        for each in status.quarantined
    ]
    if status.reconciled is False:
        found.append(Finding("bad", f"the books do not agree with the venue: {'; '.join(status.mismatches)}"))
    if status.trading_state != "ACTIVE":
        tone: Tone = "bad" if status.trading_state == "HALTED" else "warn"
        found.append(Finding(tone, f"trading is {status.trading_state}: {status.trading_reason}"))
    if status.backup is not None and status.backup.is_old:
        found.append(Finding("warn", f"the last backup is {status.backup.age_s / 3600:.0f} h old"))
    if status.unlocked is not None:
        found += _of_the_lock(status.unlocked, status.as_of)
    return found


def _of_the_lock(unlocked: Unlocked, as_of: int) -> list[Finding]:
    """An override as long as its certificate is in force; and a certificate that no longer is."""
    until = day_and_time_of(unlocked.expires_at)
    if as_of >= unlocked.expires_at:
        return [Finding("warn", f"the certificate of live trading ran out on {until}: the next start is refused")]
    if not unlocked.operator:
        return []
    missing = ", ".join(unlocked.unmet)
    text = f"live by the override of {unlocked.operator} until {until}: {unlocked.reason}; not shown: {missing}"
    return [Finding("warn", text)]


def _of_prices(status: Status) -> list[Finding]:
    feed, found = status.feed, list[Finding]()
    if feed["state"] not in ("", "LIVE"):
        found.append(Finding("bad", f"the feed of {feed['venue']} is {feed['state']}"))
    if feed.get("via") == "POLLING":
        found.append(Finding("warn", f"no sockets: the prices of {feed['venue']} are polled"))
    home = feed.get("home")
    if home and feed["venue"] != home:
        text = f"{feed['venue']} stands in for {home}: positions are watched, nothing is bought"
        found.append(Finding("warn", text))
    found += [Finding("warn", f"the price of {name} is in doubt: {why}") for name, why in status.doubts.items()]
    return found


def _of_the_services(status: Status) -> list[Finding]:
    found = [
        Finding("warn" if line.up else "bad", f"{line.name} is not ready: {line.phase}")
        for line in status.services.values()
        if not line.ready
    ]
    if status.known_seq > status.log.last_seq:
        text = f"the log ends at {status.log.last_seq}, but has reached {status.known_seq}: events are lost"
        found.append(Finding("bad", text))
    found += [Finding("warn", f"the venue: {status.venue_trouble}")] if status.venue_trouble else []
    found += [Finding("warn", text) for text in (*status.stuck, *status.drifts.values())]
    return found
