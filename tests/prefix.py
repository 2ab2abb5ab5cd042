"""Whether an agent looks into the future: what it decides at an instant must not depend on anything later (prefix invariance).

    assert_prefix_invariant(lambda: MacroMachine(settings), batches)

`batches` are the `FeedBars` (and `FeedHistory`, stamped with the `ts_init` at which it is told) of one market, in order. The
agent lives through all of them once; then, for every event of the log:

* *prefix*: a fresh one that is told only what came up to here decides the same, to the last number;
* *future*: another one decides the same up to here though every bar that closes later is something else, wherever it stands. A bar of
  a week that is not over, told too early, is such a bar: an agent that uses it is caught here;
* *snapshot*: frozen to JSON and thawed before the last event, it decides the same.

All instants are tried, not a sample of them, because leaks show on few. Effects are compared whole, refusals included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Any

import msgspec

from libs.common.messages import Bar, FeedBars, FeedHistory, Message
from libs.runtime.machine import Effect

TAIL = 3
"""So many events of the other future are lived through, too: what machines share behind their backs would show."""


def assert_prefix_invariant(make_machine: Callable[[], Any], batches: Sequence[FeedBars | FeedHistory]) -> None:
    """Hold the machines that `make_machine` makes against every prefix and another future of every prefix of `batches`.

    Raises:
        AssertionError: a decision depends on what came later, or on what only memory outside the state can know.
        ValueError: a history does not say when it is told.
    """
    clock = _clock(batches)
    whole = _lived(make_machine(), batches, clock)
    assert any(whole), "the agent said nothing in all of this: nothing has been shown"
    for place, now in enumerate(clock):
        until = place + 1
        others = [_perturbed(event, now) for event in batches[: until + TAIL]]
        _compare("future", batches, place, whole[:until], _lived(make_machine(), others, clock)[:until])
        machine = make_machine()
        said = _lived(machine, batches[:place], clock)
        machine.state = msgspec.json.decode(msgspec.json.encode(machine.state), type=type(machine).State)
        said.append(machine.handle(batches[place], now))
        _compare("prefix or snapshot", batches, place, whole[:until], said)


def _clock(batches: Sequence[FeedBars | FeedHistory]) -> list[int]:
    """The machine's `now` at each event: the highest instant heard of so far, ns."""
    if any(isinstance(event, FeedHistory) and not event.ts_init for event in batches):
        raise ValueError("a history has no ts_init: without it nobody knows which of its bars had closed")
    told = (max(event.ts_init, event.end_ts) if isinstance(event, FeedBars) else event.ts_init for event in batches)
    return list(accumulate(told, max))


def _lived(machine: Any, events: Sequence[Message], clock: list[int]) -> list[list[Effect]]:
    return [machine.handle(event, now) for event, now in zip(events, clock, strict=False)]


def _perturbed(event: FeedBars | FeedHistory, now: int) -> FeedBars | FeedHistory:
    if all(bar.ts_close <= now for bar in event.bars):
        return event
    bars = tuple(bar if bar.ts_close <= now else _other(bar) for bar in event.bars)
    return msgspec.structs.replace(event, bars=bars)


def _other(bar: Bar) -> Bar:
    """A bar of the same time with other prices: as valid, and as far from the truth as half or twice of it."""
    random = Random(f"{bar.instrument} {bar.timeframe} {bar.ts_close}")
    factor = random.choice((random.uniform(0.4, 0.8), random.uniform(1.25, 2.5)))
    prices = {name: getattr(bar, name) * factor for name in ("open", "high", "low", "close")}
    return msgspec.structs.replace(bar, **prices, volume=bar.volume * factor + 1.0)


def _compare(
    what: str,
    batches: Sequence[FeedBars | FeedHistory],
    place: int,
    whole: list[list[Effect]],
    found: list[list[Effect]],
) -> None:
    for number, (told, other) in enumerate(zip(whole, found, strict=True)):
        if told != other:
            event = batches[number]
            at = f"end_ts {event.end_ts}" if isinstance(event, FeedBars) else f"history told at {event.ts_init}"
            raise AssertionError(
                f"the {what} decides: with everything up to event {place} the agent's answer to event {number} ({at}) is"
                f"\n  {other}\nand with all that came later it was\n  {told}"
            )
