"""What `bulkhead doctor` finds in a stack that runs: what `status` knows about its health, each with what to do about it."""

from __future__ import annotations

from libs.desk.services import ServiceLine
from libs.desk.status import Status
from services.cli.doctor import Finding
from services.cli.exit_codes import Failure
from services.cli.observer import somebody_listens
from services.cli.place import Place
from services.cli.status import WithoutLog, gather

AGAIN = "look again in some seconds; if it stays: "


async def examine_health(place: Place) -> list[Finding]:
    """A finding for everything that is not as it should be, or one that all is; nothing if no stack runs."""
    if not await somebody_listens(place.nats_url):
        return []
    try:
        return findings_of(await gather(place))
    except WithoutLog as failure:
        asked = [Finding("health", "FAIL", failure.text, failure.cure)]
        return asked + [service_finding(line) for line in failure.services.values() if not line.ready]
    except Failure as failure:
        return [Finding("health", "FAIL", failure.text, failure.cure)]


def findings_of(status: Status) -> list[Finding]:
    """Everything in `status` that wants somebody's attention."""
    found = [service_finding(line) for line in status.services.values() if not line.ready]
    found += _of_the_log(status) + _of_trading(status) + _of_positions(status)
    found += [Finding("outbox", "FAIL", text, f"{AGAIN}look at its log in logs/") for text in status.stuck]
    found += [Finding("outbox", "WARN", text, f"{AGAIN}look at its log in logs/") for text in status.catching_up]
    return found or [Finding("health", "OK", f"{len(status.services)} services ready, and nothing to look at")]


def service_finding(line: ServiceLine) -> Finding:
    """A service that is not ready: stopped, hung, or on its way."""
    if line.up:
        cure = f"{AGAIN}look at logs/{line.name}.log in the state folder"
    elif line.pid:
        cure = f"`kill -CONT {line.pid}` if it was stopped; `kill -KILL {line.pid}` if it hangs: it is started anew"
    else:
        cure = f"look at logs/{line.name}.log in the state folder; `bulkhead up` starts it"
    return Finding(line.name, "FAIL", f"not ready: {line.phase}", cure)


def _of_the_log(status: Status) -> list[Finding]:
    if status.known_seq <= status.log.last_seq:
        return []
    text = f"ends at {status.log.last_seq}, but has reached {status.known_seq}: acknowledged events are lost"
    cure = "stop the stack, and bring the log back from its backup: docs/BACKUP_RECOVERY.md; or begin anew in another --home"
    return [Finding("log", "FAIL", text, cure)]


def _of_trading(status: Status) -> list[Finding]:
    found = []
    if status.trading_state != "ACTIVE":
        cure = "once it is safe: `bulkhead resume --reason ...`"
        found.append(Finding("trading", "WARN", f"{status.trading_state}: {status.trading_reason}", cure))
    if status.feed["state"] not in ("", "LIVE"):
        text = f"{status.feed['venue']} is {status.feed['state']}: nothing new is bought"
        found.append(Finding("feed", "WARN", text, f"{AGAIN}does the venue answer? See logs/market-feed.log"))
    if status.feed.get("via") == "POLLING":
        text = f"no sockets: the prices of {status.feed['venue']} are polled"
        found.append(Finding("feed", "WARN", text, f"{AGAIN}is the network well? See logs/market-feed.log"))
    for instrument, why in status.doubts.items():
        cure = "most doubts end within seconds; UNIT and DISLOCATED need eyes: compare with another venue"
        found.append(Finding("price", "WARN", f"{instrument} is in doubt, {why}: it is not bought", cure))
    if status.backup is not None and status.backup.is_old:
        text, cure = (
            f"the last one is {status.backup.age_s / 3600:.0f} h old",
            "`bulkhead backup`; see docs/BACKUP_RECOVERY.md",
        )
        found.append(Finding("backup", "WARN", text, cure))
    if status.reconciled is False:
        text = f"do not agree with the venue: {'; '.join(status.mismatches)}"
        cure = f"{AGAIN}`bulkhead halt --reason ...`, and compare with the venue's own account"
        found.append(Finding("books", "FAIL", text, cure))
    return found


def _of_positions(status: Status) -> list[Finding]:
    found = []
    for each in status.quarantined:
        cure = f"`bulkhead trace order:{each.cl_ord_id}`; look that order up at the venue"
        found.append(Finding("quarantine", "FAIL", f"{each.instrument}: {each.reason}", cure))
    for line in status.uncovered:
        text = f"{line.instrument}: of {line.signed_qty} only {line.stopped_qty} has a stop"
        found.append(Finding("stops", "FAIL", text, f"{AGAIN}is order-executor ready? Else close it at the venue"))
    return found
