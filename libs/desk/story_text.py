"""A story as a person reads it: a timeline of headlines, below each the numbers it rests on (story_words.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from libs.desk.saying import MILLISECOND_NS, SECOND_NS, time_of
from libs.desk.story import Event, Story
from libs.desk.story_words import said

DEPTH_SHOWN_MAX = 6
_MARGIN = 34


def story_text(story: Story) -> Iterator[Text]:
    """Line by line."""
    target = story.target
    yield Text.assemble((f"{target.kind} {target.id}", "bold"), f"  {len(story.events)} events", *_about(story))
    yield Text(f"{'seq':>8}  {'time (UTC)':<12}  {'after':>8}  what", style="cyan")
    for event in story.events:
        yield from _event_text(event, story.instruments)


def story_document(story: Story) -> dict[str, Any]:
    """The same for programs: the events as they are, each with its words. Command line, API and console tell a story from this."""
    return {
        "target": {"kind": story.target.kind, "id": story.target.id, "instrument": story.target.instrument},
        "instruments": story.instruments,
        "events": [_event_document(event, story.instruments) for event in story.events],
    }


def _event_document(event: Event, instruments: tuple[str, ...]) -> dict[str, Any]:
    headline, details = said(event.message, instruments)
    lines = [each.plain if isinstance(each, Text) else each for each in details]
    return {**event.as_json(), "headline": headline, "details": lines}


def _about(story: Story) -> list[str]:
    clock = "the log's clock" if any(event.stored_at for event in story.events) else "the events' own clock"
    about = f" about {', '.join(story.instruments)}" if story.instruments else ""
    return [f"{about}; `after` is the time since the cause, by {clock}"]


def _event_text(event: Event, instruments: tuple[str, ...]) -> Iterator[Text]:
    headline, details = said(event.message, instruments)
    indent = "  " * min(event.depth, DEPTH_SHOWN_MAX)
    style = {"cause": "dim", "effect": ""}.get(event.relation, "bold")
    yield Text.assemble(
        f"{event.seq:>8}  ",
        (time_of(event.message.ts_init), "dim"),
        f"  {_latency(event.latency_ns):>8}  {indent}",
        (f"{event.role} ", "cyan"),
        Text(headline, style=style),
    )
    for detail in details:
        yield Text.assemble(" " * _MARGIN, f"{indent}    ", detail)


def _latency(latency_ns: int | None) -> str:
    if latency_ns is None:
        return ""
    if latency_ns < SECOND_NS:
        return f"{latency_ns / MILLISECOND_NS:.1f} ms"
    return f"{latency_ns / SECOND_NS:.1f} s"
