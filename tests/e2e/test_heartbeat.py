"""The notifier beats at a dead man's switch while it lives, and is silent when its bus is gone: a real bus, killed."""

from __future__ import annotations

import asyncio
import time

from tests.dead_mans_switch import DeadMansSwitch
from tests.e2e.live_services import Life
from tests.nats_stack import NatsStack

PERIOD_S = 1
PROMPT_S = 0.2
"""What a beat under way at the kill may take to arrive, on a busy machine."""


async def test_it_beats_while_it_lives_and_is_silent_within_two_periods_of_the_end_of_its_bus(nats: NatsStack) -> None:
    """Silence is the alarm: nothing that is broken has to say so."""
    switch = DeadMansSwitch()
    await switch.start()
    life = Life(nats, "notifier", notify_heartbeat_url_file=switch.file(nats.home), notify_heartbeat_s=PERIOD_S)
    try:
        await life.live()
        await switch.heard(2)
        assert switch.beats[1] - switch.beats[0] >= PERIOD_S - PROMPT_S
        nats.kill()
        killed_at = time.monotonic()
        await asyncio.sleep(3.2 * PERIOD_S)
        assert [beat for beat in switch.beats if beat > killed_at + 2 * PERIOD_S] == []
        assert not life.task.done()
    finally:
        await life.kill()
        await switch.stop()


async def test_a_notifier_that_is_told_to_stop_beats_no_more(nats: NatsStack) -> None:
    """A planned stop is silence as well: whoever plans it pauses the switch."""
    switch = DeadMansSwitch()
    await switch.start()
    life = Life(nats, "notifier", notify_heartbeat_url_file=switch.file(nats.home))
    try:
        await life.live()
        await switch.heard(1)
        assert await life.stop() is None
        assert len(switch.beats) == 1
    finally:
        await switch.stop()
