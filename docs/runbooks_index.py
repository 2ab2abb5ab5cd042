"""The index of the runbooks, from the catalogue of alerts; run by generate.py."""

from __future__ import annotations

from libs.common.alerts import CATALOGUE, FAMILIES, Alert

HEAD = """\
# Runbooks

{written_by}

Every alert of the system, how grave it is, and where it is said what to do. A **page** wakes somebody: money or safety. A **ticket** waits for
daytime. A **note** is for the record. The severities and meanings are those of `libs/common/alerts.py`, and a test holds them to the code.

## At three in the morning

1. `bulkhead status`: is everything held under a stop? ("uncovered" is empty.) Are the books reconciled?
2. If in doubt, `bulkhead halt --reason "..."`: nothing is entered, exits and stops go on. It costs nothing but entries, and resuming is one command.
3. Find the code below and do what its section says.
4. To be out of everything: `bulkhead flatten --reason "..."`. If that does not work, sell on the venue's page; it is booked as an exit.

| to see | command |
|---|---|
| how it stands | `bulkhead status` (`--json` with pids) |
| what is wrong and what to do about it | `bulkhead doctor` |
| the story of an order, intent or fill | `bulkhead trace ID` (`order:ID`, `exec:ID`, `latest`) |
| why an entry was denied, and what denies now | `bulkhead risk explain latest`, `bulkhead risk headroom` |
| a service's own words | `logs/<service>.log` in the state folder |
| the log as it grows | `$NATS sub 'exec.>'` (`risk.>`, `feed.>`, `ledger.>`, `notify.>`, `agent.>`, `ops.>`) |
| everything that was said | `bulkhead log dump FILE`, then `grep alert_raised FILE` |

What only Prometheus sees (a lease held twice, an error budget that burns, a venue's request weight) is in [prometheus.md](prometheus.md).
When something is gone for good, or a key in other hands: [disasters.md](disasters.md).

`$NATS` stands for the command that `bulkhead up` prints when it starts (`look into the log:`), up to `sub`. It is the observer's: it can look and
change nothing. `STATE` is the state folder (`--home`), `PID` a process of `bulkhead status --json`; the supervisor starts anew what you end.

## When nothing is heard

Silence is an alert too, and nothing inside can raise it. The notifier sends a heartbeat to a dead man's switch outside (a service such as
healthchecks, whose URL is in the file of `BULKHEAD_NOTIFY_HEARTBEAT_URL_FILE`) every `BULKHEAD_NOTIFY_HEARTBEAT_S` seconds, as long as it is at work:
live, the log within reach, hardly behind it, its channel not known to be down. Let the switch page after three periods, by a way of its own.

- **Means.** Machine, network, bus, notifier or channel is gone. Everything may be well but for this, or nothing.
- **Done already.** Guards rest at the venue. What runs goes on.
- **Look.** Can you reach the machine? `bulkhead status`, `logs/notifier.log`, `logs/nats.log`, `df -h`.
- **Do.** Machine gone: look at your positions and stops on the venue's page, then start it again; it goes on where it was. Notifier or channel gone: [people.md](people.md#channel-down).
- **Over when.** The switch has heard a beat.
"""


def index(written_by: str) -> str:
    """The text of `docs/runbooks/README.md`."""
    blocks = [HEAD.format(written_by=written_by)]
    for family, title in FAMILIES.items():
        rows = [_row(each) for each in CATALOGUE if each.family == family]
        blocks.append(
            "\n".join([f"## {title}\n", "| code | severity | what it means |", "|---|---|---|", *rows]) + "\n"
        )
    return "\n".join(blocks)


def _row(alert: Alert) -> str:
    target = alert.anchor.rpartition("/")[2]
    return f"| [`{alert.code}`]({target}) | {' or '.join(alert.severities)} | {alert.meaning} |"
