"""Nobody speaks into the void and nobody waits for what is never said."""

from __future__ import annotations

import pytest

from libs.common.messages import (
    ALL,
    AgentsScored,
    Answer,
    BackupMade,
    BookRestored,
    EpochBegan,
    EventRejected,
    Message,
    PersonNotified,
    PrintRejected,
    QuoteChanged,
    RestoreProven,
    TradePrinted,
)
from libs.common.subjects import filter_of, subject_matches
from libs.runtime.contract import Contract
from libs.runtime.registry import SERVICES, contracts, module_of

NOT_IN_THE_LOG: dict[type[Message], str] = {
    TradePrinted: "the MARKET stream: records, charts, forensics; nobody decides from it",
    QuoteChanged: "the MARKET stream: records, charts, forensics; nobody decides from it",
    PrintRejected: "the MARKET stream: why a print was not believed; the decision log has what follows from it",
}

TERMINAL: dict[type[Message], str] = {
    BackupMade: "how old the last backup is: the doors and the watchman read it, no machine does",
    BookRestored: "where a log was begun again from a backup: for who audits it; the HALT after it is what machines hear",
    EpochBegan: "where the log goes on: who reads or appends learns it from the bus; this is for who audits it",
    RestoreProven: "that a backup was seen to bring the book back: the doors and the watchman read it, no machine does",
    AgentsScored: "how agents have done: for people, reports and the console; the portfolio that says it knows it already",
    EventRejected: "the record of a refusal; people hear of it through the alert beside it",
    PersonNotified: "the record of what people were told; its delivery is heard as MessageSent",
}
"""Types that end in the log: written for people and for the proof, and read by no machine."""


def heard_by(contract: Contract) -> set[type[Message]]:
    """Every type that reaches this service: as input, as its own answer, or through one of its readers."""
    heard = {*contract.consumes, *contract.hears_itself}
    heard |= {kind for kind in contract.says if issubclass(kind, Answer)}
    for reader in contract.readers:
        for other in contracts():
            heard |= {
                kind
                for kind in other.says
                if any(subject_matches(wanted, filter_of(kind, other.writer)) for wanted in reader.filters)
            }
    return heard


def own_heartbeat(contract: Contract) -> set[type[Message]]:
    """What every writer hears of itself without saying so in its contract."""
    return {kind for kind in contract.says if kind.__name__ in ("ServiceStarted", "ServiceStopping", "TimerFired")}


SAID = {kind for contract in contracts() for kind in contract.says}
HEARD = {kind for contract in contracts() for kind in heard_by(contract) | own_heartbeat(contract)}


def test_whatever_is_heard_is_said_by_somebody() -> None:
    """A service that waits for a type nobody says would wait for ever."""
    assert sorted(kind.__name__ for kind in HEARD - SAID) == []


def test_whatever_is_said_is_heard_or_ends_here_for_a_reason() -> None:
    """A type nobody hears is either a mistake or one of those that end in the log on purpose."""
    assert sorted(kind.__name__ for kind in SAID - HEARD - set(TERMINAL)) == []


def test_the_reasons_are_not_stale() -> None:
    """A type that has found a hearer is no longer terminal."""
    heard_by_machines = {kind for contract in contracts() for kind in contract.consumes}
    assert sorted(kind.__name__ for kind in set(TERMINAL) & heard_by_machines) == []


def test_every_type_of_the_language_is_spoken() -> None:
    """A message type that nobody says is dead text."""
    assert sorted(kind.__name__ for kind in set(ALL) - SAID - set(NOT_IN_THE_LOG)) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_contract_is_named_as_its_folder(service: str) -> None:
    """Kebab-case outside, snake_case on disk, derived from each other."""
    folder = module_of(service).split(".")[-1]
    assert service.removeprefix("agent-").replace("-", "_") == folder


def test_writers_and_services_are_told_apart() -> None:
    """Two services with one writer's name would fence each other out; durables must not collide either."""
    writers = [contract.writer for contract in contracts()]
    durables = [contract.service for contract in contracts()]
    durables += [reader.durable for contract in contracts() for reader in contract.readers]
    assert len(set(writers)) == len(writers)
    assert len(set(durables)) == len(durables)
    assert not any(one != other and other.startswith(f"{one}.") for one in writers for other in writers)


@pytest.mark.parametrize("contract", contracts(), ids=lambda contract: contract.service)
def test_a_service_does_not_consume_what_it_says_itself(contract: Contract) -> None:
    """A writer's own facts are its state; hearing them again is declared apart, because it decides about loops."""
    mine = {kind for kind in contract.consumes if kind in contract.produces}
    assert sorted(kind.__name__ for kind in mine) == []
    assert set(contract.hears_itself) <= set(contract.produces)
