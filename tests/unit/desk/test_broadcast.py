"""Listeners hear everything once, and nobody waits for one who does not keep up."""

from __future__ import annotations

import asyncio

from libs.desk.broadcast import WAITING_MAX, Broadcast, Moment


async def test_what_has_not_changed_is_not_told_again() -> None:
    """A section is told when it is news, to all, and to a newcomer as it stands."""
    broadcast = Broadcast()
    assert broadcast.tell(1, "head", b"a")
    with broadcast.listening() as early:
        assert not broadcast.tell(2, "head", b"a")
        assert broadcast.tell(3, "head", b"b")
        with broadcast.listening() as late:
            heard = early.moments()
            assert [await anext(heard), await anext(heard)] == [Moment(1, "head", b"a"), Moment(3, "head", b"b")]
            assert await anext(late.moments()) == Moment(3, "head", b"b")
    assert broadcast.listeners == 0


async def test_a_list_is_told_by_what_is_new_in_it() -> None:
    """Who listens hears the new part, who comes later all of it."""
    broadcast = Broadcast()
    with broadcast.listening() as early:
        broadcast.tell_more(1, "log", b"[2]", b"[2,1]")
        assert (await anext(early.moments())).body == b"[2]"
    with broadcast.listening() as late:
        assert (await anext(late.moments())).body == b"[2,1]"


async def test_who_does_not_keep_up_is_let_go_and_told_so() -> None:
    """He hears what waited for him, then that he has missed something; others are not held up, and it costs nothing to speak on."""
    broadcast = Broadcast()
    with broadcast.listening() as slow, broadcast.listening() as quick:
        hearing = quick.moments()
        for seq in range(WAITING_MAX + 50):
            broadcast.tell(seq, "head", str(seq).encode())
            assert (await anext(hearing)).seq == seq
        heard = [moment async for moment in slow.moments()]
        assert len(heard) == WAITING_MAX + 1
        assert heard[-1].kind == "lagged"


async def test_a_listener_waits_without_being_told_anything() -> None:
    """Silence is no end."""
    broadcast = Broadcast()
    with broadcast.listening() as listener:
        waiting = asyncio.ensure_future(anext(listener.moments()))
        await asyncio.sleep(0)
        assert not waiting.done()
        broadcast.tell(1, "head", b"a")
        assert (await waiting).seq == 1
