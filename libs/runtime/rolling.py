"""Rolling the log over from one epoch to the next, so that a kill at any moment leaves something that `provision` completes.

    TRADING_0001 takes what is said              open      subjects feed.> risk.> ...
      close: its subjects are taken off          closed    subjects closed.TRADING_0001.>     appends find nobody from here ...
      TRADING_0002 is made behind its end        opening   subjects opening.TRADING_0002.>
      durables are made in it
      it gets the subjects                       open      ... to here
      TRADING_0001 is sealed                     sealed    nobody can change it any more, not even admin

Each step is done by looking at what is there, so doing all of them again is doing what is left. Two streams may not share subjects, so at no moment do
two epochs take what is said; sequences go on because the next is made to begin behind the end of one that has ended.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from nats.aio.client import Client

from libs.runtime.epochs import is_epoch_of, next_name
from libs.runtime.stream_api import ProvisionError, ask, config_of, differences_of, must, must_equal
from libs.runtime.streams import TRADING

Config = dict[str, Any]


class Found(msgspec.Struct, frozen=True):
    """An epoch as the server has it."""

    name: str
    config: Config
    first_seq: int
    last_seq: int

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing any more."""
        return self.config.get("subjects") == [f"closed.{self.name}.>"]

    @property
    def is_opening(self) -> bool:
        """Whether it takes nothing yet."""
        return self.config.get("subjects") == [f"opening.{self.name}.>"]


async def epochs_of(client: Client) -> list[str]:
    """The names of the log's epochs, in order; none before the first provisioning."""
    answer = await ask(client, "STREAM.NAMES")
    must("list the streams", answer)
    return sorted(name for name in answer.get("streams") or () if is_epoch_of(name, TRADING))


async def length_of(client: Client) -> int:
    """The last place in the log, in whichever epoch; 0 where there is no log.

    Raises:
        ProvisionError: the bus does not say.
    """
    names = await epochs_of(client)
    return (await _found(client, names[-1])).last_seq if names else 0


async def newest_wanted(client: Client, first: Config) -> Config:
    """The configuration that the newest epoch should have now; one that does not exist yet, where the log has none or its newest was closed.

    `first` is that of the first epoch. Older ones are held against what a sealed one should be.

    Raises:
        ProvisionError: an older one is not what it was when it was sealed, or epochs do not follow each other.
    """
    found = [await _found(client, name) for name in await epochs_of(client)]
    if not found:
        return first
    _must_follow(found)
    for each in found[:-1]:
        must_equal(f"stream {each.name}", _as_it_was_closed(first, each), {"config": each.config})
    newest = found[-1]
    if newest.is_closed:
        name = next_name(newest.name)
        return first | {"name": name, "first_seq": newest.last_seq + 1, "subjects": [f"opening.{name}.>"]}
    return first | _place(newest) | ({"subjects": newest.config["subjects"]} if newest.is_opening else {})


async def open_newest(client: Client, first: Config) -> list[str]:
    """Let the newest epoch take what is said, and seal those before it; returns a line for each that was changed."""
    found = [await _found(client, name) for name in await epochs_of(client)]
    done = []
    if found and found[-1].is_opening:
        newest = found[-1]
        must(f"open {newest.name}", await ask(client, f"STREAM.UPDATE.{newest.name}", first | _place(newest)))
        done.append(f"the log goes on in {newest.name}, from {newest.first_seq} on")
    for each in found[:-1]:
        if not each.config.get("sealed"):
            sealed = _as_it_was_closed(first, each) | {"sealed": True}
            must(f"seal {each.name}", await ask(client, f"STREAM.UPDATE.{each.name}", sealed))
            done.append(f"sealed {each.name}")
    return done


async def close_newest(client: Client, first: Config) -> str:
    """From now on the newest epoch takes nothing more; returns its name. `provision` has the log go on in another.

    Raises:
        ProvisionError: there is none, it holds nothing, or is not what it should be.
    """
    names = await epochs_of(client)
    if not names:
        raise ProvisionError("there is no log yet that could be rolled over")
    newest = await _found(client, names[-1])
    if newest.is_closed or newest.is_opening:  # somebody was stopped here before
        return newest.name
    if newest.last_seq < max(newest.first_seq, 1):
        raise ProvisionError(f"{newest.name} holds nothing yet, and needs no epoch after it")
    wanted = first | _place(newest)
    must_equal(f"stream {newest.name}", wanted, {"config": newest.config})
    closed = wanted | {"subjects": [f"closed.{newest.name}.>"]}
    must(f"close {newest.name}", await ask(client, f"STREAM.UPDATE.{newest.name}", closed))
    return newest.name


async def differences_in(client: Client, first: Config) -> list[str]:
    """Every difference between the epochs of the log and what they should be, as text; empty is good."""
    found = [await _found(client, name) for name in await epochs_of(client)]
    if not found:
        return [f"stream {first['name']}: stream not found"]
    try:
        _must_follow(found)
    except ProvisionError as error:
        return [str(error)]
    lines = []
    for each in found[:-1]:
        wanted = _as_it_was_closed(first, each) | {"sealed": True}
        lines += differences_of(f"stream {each.name}", wanted, {"config": each.config})
    newest = found[-1]
    return lines + differences_of(f"stream {newest.name}", first | _place(newest), {"config": newest.config})


def _place(found: Found) -> Config:
    """Its name and beginning, which differ from the first epoch's."""
    begins = {} if found.config.get("first_seq") is None else {"first_seq": found.config["first_seq"]}
    return {"name": found.name, **begins}


def _as_it_was_closed(first: Config, found: Found) -> Config:
    """What a closed epoch should be. It keeps the copies it has: a sealed stream takes no new ones."""
    return (
        first
        | _place(found)
        | {
            "subjects": [f"closed.{found.name}.>"],
            "sealed": bool(found.config.get("sealed")),
            "num_replicas": found.config.get("num_replicas", 1),
        }
    )


def _must_follow(found: list[Found]) -> None:
    for earlier, later in pairwise(found):
        if later.name != next_name(earlier.name) or later.config.get("first_seq", 1) != earlier.last_seq + 1:
            raise ProvisionError(
                f"stream {later.name} begins at {later.config.get('first_seq', 1)}, and {earlier.name} ends at {earlier.last_seq}:"
                " an epoch of the log is missing or was made by somebody else; restore the log (docs/BACKUP_RECOVERY.md)"
            )


async def _found(client: Client, name: str) -> Found:
    answer = await ask(client, f"STREAM.INFO.{name}")
    must(f"read {name}", answer)
    state = answer["state"]
    return Found(name, config_of(f"stream {name}", answer), int(state["first_seq"]), int(state["last_seq"]))
