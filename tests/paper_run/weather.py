"""The faults of a paper run: a menu, and a seeded programme of so many a day in which every kind comes before any comes again."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from libs.common.instruments import symbol_of
from tests.chaos.stack import DECIDING

MINUTES_A_DAY = 1440
APART = 30
"""At least so many minutes between the beginnings of two incidents, so that what follows one can be told from what follows the next."""
Script = tuple[dict[str, Any], ...]


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that goes wrong for `minutes` of the market (0: it strikes once).

    `script` is asked of the venue (services/exchange_sim/faults.py); `kills` dies by SIGKILL, `freezes` is stopped for two wall seconds; `locks`: the
    ledger's database; `takes_back`: somebody else cancels one of our resting orders; `skew_ms`: the venue's clock is off.
    """

    name: str
    script: Script = ()
    minutes: int = 0
    kills: str = ""
    freezes: str = ""
    locks: bool = False
    takes_back: bool = False
    skew_ms: int = 0


def _socket(kind: str, **more: Any) -> dict[str, Any]:
    return {"on": "socket", "kind": kind, **more}


def _order(kind: str, **more: Any) -> dict[str, Any]:
    return {"on": "order", "kind": kind, **more}


def _rest(kind: str, path: str = "/api/v3/*", **more: Any) -> dict[str, Any]:
    return {"on": "rest", "kind": kind, "path": path, **more}


def _told(kind: str, what: str) -> dict[str, Any]:
    return _socket(kind, stream="account", where={"x": what}, times=1)


def menu(instrument: str) -> list[Incident]:
    """Every kind of incident; those of one instrument's stream strike `instrument`."""
    stream = symbol_of(instrument).lower()
    down = {"on": "venue", "kind": "down"}
    stop = {"ord_type": "STOP_LOSS", "times": 2, "code": -1013, "msg": "Stops are not taken at the moment."}
    market = [
        Incident(name="sockets reset", script=(_socket("reset"),)),
        Incident(name="sockets closed", script=(_socket("close", code=1008),)),
        Incident(name="one instrument frozen", minutes=4, script=(_socket("freeze", stream=stream, sticky=True),)),
        Incident(name="the market frozen", minutes=4, script=(_socket("freeze", sticky=True),)),
        Incident(name="black hole", minutes=3, script=(_socket("black_hole", sticky=True),)),
        Incident(
            name="bad prints", script=(_socket("mangle", stream=f"{stream}@trade", field="p", factor=10, times=3),)
        ),
        Incident(name="bad quotes", script=(_socket("mangle", stream="@bookTicker", field="b", factor=0.5, times=3),)),
        Incident(name="trades lost", minutes=2, script=(_socket("drop", stream="@trade", times=8),)),
        Incident(name="frames twice", minutes=2, script=(_socket("duplicate", times=200),)),
        Incident(name="frames out of order", minutes=2, script=(_socket("hold", times=50),)),
        Incident(name="nonsense", script=(_socket("inject", text='{"e":"trade","s":"BTCU', times=3),)),
        Incident(name="subscriptions refused", script=(_socket("refuse_subscribe", times=2), _socket("reset"))),
        Incident(name="venue down", minutes=4, script=(down,)),
        Incident(name="venue and stand-in down", minutes=4, script=(down, {**down, "venue": "kraken"})),
        Incident(name="REST busy", minutes=3, script=(_rest("status", code=429, retry_after=1),)),
        Incident(name="REST cut off", minutes=3, script=(_rest("reset"),)),
        Incident(name="REST talks HTML", minutes=3, script=(_rest("html"),)),
        Incident(name="answers cut short", minutes=2, script=(_rest("truncated"),)),
        Incident(name="the venue's clock is off", minutes=3, skew_ms=5000),
    ]
    orders = [
        Incident(name="order taken, answer never comes", script=(_order("timeout_after_accept"),)),
        Incident(name="order taken, line cut", script=(_order("reset_after_accept"),)),
        Incident(name="line cut before the order", script=(_order("reset_before_accept"),)),
        Incident(name="503 to an order", script=(_order("http_503"),)),
        Incident(name="order refused", script=(_order("reject", code=-2010, msg="Refused."),)),
        Incident(name="stops refused twice", script=(_order("reject", **stop),)),
        Incident(name="pairs refused twice", script=(_order("reject", **{**stop, "ord_type": "OCO"}),)),
        Incident(name="a fill is not told", script=(_told("drop", "TRADE"),)),
        Incident(name="a fill is told twice", script=(_told("duplicate", "TRADE"),)),
        Incident(name="filled before it is new", script=(_told("hold", "NEW"),)),
        Incident(name="other hands take an order back", takes_back=True),
    ]
    ours = [Incident(name=f"{each} killed", kills=each) for each in (*DECIDING, "nats-server")]
    ours += [Incident(name=f"{each} frozen", freezes=each) for each in ("market-feed", "order-executor", "risk-gate")]
    return [*market, *orders, *ours, Incident(name="database locked", minutes=10, locks=True)]


def programme(seed: int, days: int, a_day: int, instruments: Sequence[str]) -> dict[int, Incident]:
    """Which incident begins in which minute of the run: `a_day` on each of `days`, none in the first hour."""
    chance = Random(seed)
    begins: dict[int, Incident] = {}
    deck: list[Incident] = []
    for day in range(days):
        slots = range(day * MINUTES_A_DAY, (day + 1) * MINUTES_A_DAY - APART, APART)
        for slot in sorted(chance.sample([each for each in slots if each >= 60], a_day)):
            if not deck:
                deck = menu(chance.choice(instruments))
                chance.shuffle(deck)
            begins[slot + chance.randrange(10)] = deck.pop()
    return begins
