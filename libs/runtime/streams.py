"""The streams and consumers of the bus as data. `provision` creates them, and refuses a bus that differs.

| stream       | holds                                     | why it is configured so |
|---|---|---|
| TRADING_0001 | the decision log, its first epoch; later ones (`rolling`) are alike | for ever: no limits, nothing can be deleted or purged; full disk refuses the new, never drops the old |
| MARKET       | every raw trade and quote                 | bounded in bytes and age; written asynchronously (may lose its tail on power loss), nobody decides from it |
| DEAD         | poison events, one subject each           | a second copy of the same event is refused by the server |
| KV_LEASES    | who may be a writer now                   | one message per writer, gone after the lease's time to live |
| KV_BUDGETS   | what each process takes of a venue's limit | one message per writer, venue and address; a ban lasts three days at most |

Leases stand on disk although they live for seconds: in memory a killed server would forget them, another instance would take a
lease that its holder still believes in, and revisions would begin again at 1, so that the old holder's compare-and-set could
succeed by coincidence. There are no delete markers: an expired lease leaves nothing, and "free" is simply "expected sequence 0".

The dictionaries are what the JetStream API itself takes; times are nanoseconds. Every field that matters is spelled out, so
that drift is found by comparison.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.subjects import TRADING_ROOTS
from libs.runtime.contract import Contract

SECOND_NS = 1_000_000_000
KIB = 1024
MIB = 1024 * KIB
LEASE_TTL_S = 3.0
"""Renewed each quarter; a standby asks four times a second, and has it a little later than this after its holder died."""

TRADING = "TRADING_0001"
MARKET = "MARKET"
DEAD = "DEAD"
LEASES = "KV_LEASES"
BUDGETS = "KV_BUDGETS"

MSG_BYTES_MAX = 512 * KIB
"""The largest message of the log, headers included."""
DEAD_MSG_BYTES_MAX = MSG_BYTES_MAX + 16 * KIB
"""A copy in DEAD carries more headers than its original."""

OBSERVER_DURABLES = ("console", "observer")
"""Durables over the whole log for people: `console` for `bulkhead up`, `observer` for the nats CLI."""
RECORDER_DURABLE = "recorder"
"""The durable over all of MARKET, for `bulkhead record`; it belongs to the observer, too."""


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment may choose about the streams."""

    lease_ttl_s: float = LEASE_TTL_S
    market_bytes_max: int = 512 * MIB
    market_age_s_max: float = 24 * 3600.0
    replicas: int = 1
    """On how many servers each stream stands: 1, or 3 where the bus is a cluster of three."""


class Consumer(msgspec.Struct, frozen=True):
    """A durable pull consumer: its stream, and its configuration as the JetStream API takes it."""

    stream: str
    config: dict[str, Any]

    @property
    def durable(self) -> str:
        """Its name, which is its service's name."""
        return str(self.config["durable_name"])


def stream_configs(limits: StreamLimits | None = None) -> tuple[dict[str, Any], ...]:
    """The configuration of every stream."""
    limits = limits or StreamLimits()
    return (log_config(limits), _market(limits), _dead(limits), _leases(limits), _budgets(limits))


def consumers(contracts: tuple[Contract, ...]) -> tuple[Consumer, ...]:
    """The durables of every contract and its readers, and those for people."""
    found = [_consumer(contract.service, contract.filters, f"what {contract.service} reads") for contract in contracts]
    for contract in contracts:
        found += [
            _consumer(reader.durable, reader.filters, f"a projection of {contract.service}")
            for reader in contract.readers
        ]
    found += [_consumer(durable, (), "the whole log, for people") for durable in OBSERVER_DURABLES]
    found.append(_consumer(RECORDER_DURABLE, (), "every raw trade and quote, for `bulkhead record`", MARKET))
    return tuple(found)


def _consumer(durable: str, filters: tuple[str, ...], description: str, stream: str = TRADING) -> Consumer:
    """Nothing is acknowledged: positions are in the log itself, and every start resets the consumer to its own."""
    config: dict[str, Any] = {
        "durable_name": durable,
        "name": durable,
        "description": description,
        "deliver_policy": "all",
        "ack_policy": "none",
        "replay_policy": "instant",
        "max_deliver": -1,
        "max_waiting": 512,
        "num_replicas": 0,
        "metadata": {"bulkhead": "1"},
    }
    if len(filters) == 1:
        config["filter_subject"] = filters[0]
    elif filters:
        config["filter_subjects"] = sorted(filters)
    return Consumer(stream, config)


def _stream(name: str, subjects: list[str], description: str, limits: StreamLimits, **special: Any) -> dict[str, Any]:
    common: dict[str, Any] = {
        "name": name,
        "description": description,
        "subjects": subjects,
        "retention": "limits",
        "storage": "file",
        "num_replicas": limits.replicas,
        "discard": "new",
        "discard_new_per_subject": False,
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": MSG_BYTES_MAX,
        "duplicate_window": 120 * SECOND_NS,
        "compression": "s2",
        "persist_mode": "default",
        "deny_delete": True,
        "deny_purge": True,
        "sealed": False,
        "no_ack": False,
        "allow_rollup_hdrs": False,
        "allow_direct": False,
        "mirror_direct": False,
        "allow_msg_ttl": False,
        "allow_atomic": False,
        "subject_delete_marker_ttl": 0,
        "consumer_limits": {},
        "metadata": {"bulkhead": "1"},
    }
    return common | special


def log_config(limits: StreamLimits | None = None) -> dict[str, Any]:
    """The configuration of the log's first epoch; those after it differ in name and beginning (`rolling`)."""
    return _stream(
        TRADING,
        [f"{root}.>" for root in TRADING_ROOTS],
        "The decision log: every event on which any decision depends, in one total order, for ever.",
        limits or StreamLimits(),
    )


def _market(limits: StreamLimits) -> dict[str, Any]:
    """`persist_mode` async overrides the server's `sync_interval: always` for this stream alone.

    The server allows it on one copy only, and three synced copies of every raw trade would cost more than what nobody decides from is worth: so one it is,
    also where all others have three.
    """
    return _stream(
        MARKET,
        ["market.>"],
        "Raw trades and quotes as the venues said them. Bounded; nobody decides from it.",
        limits,
        num_replicas=1,
        discard="old",
        max_bytes=limits.market_bytes_max,
        max_age=int(limits.market_age_s_max * SECOND_NS),
        persist_mode="async",
        deny_purge=False,
        deny_delete=False,
    )


def _dead(limits: StreamLimits) -> dict[str, Any]:
    return _stream(
        DEAD,
        ["dead.>"],
        "Events somebody refused to act on, each once, under the place they stand at in the log.",
        limits,
        max_msgs_per_subject=1,
        discard_new_per_subject=True,
        max_msg_size=DEAD_MSG_BYTES_MAX,
    )


def _leases(limits: StreamLimits) -> dict[str, Any]:
    ttl_ns = int(limits.lease_ttl_s * SECOND_NS)
    return _stream(
        LEASES,
        ["$KV.LEASES.>"],
        "Which instance may be a writer now. A lease not renewed in time is gone.",
        limits,
        discard="old",  # a renewal replaces the message before it
        max_msgs_per_subject=1,
        max_age=ttl_ns,
        max_msg_size=4 * KIB,
        duplicate_window=min(120 * SECOND_NS, ttl_ns),  # the server wants it no longer than max_age
        compression="none",
    )


def _budgets(limits: StreamLimits) -> dict[str, Any]:
    return _stream(
        BUDGETS,
        ["$KV.BUDGETS.>"],
        "What each process has taken of a venue's request weight, and what the venue told it.",
        limits,
        discard="old",
        max_msgs_per_subject=1,
        max_age=7 * 24 * 3600 * SECOND_NS,
        max_bytes=16 * MIB,
        max_msg_size=8 * KIB,
        compression="none",
    )
