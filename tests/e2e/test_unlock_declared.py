"""What unlocks live trading comes into a real log once for each certificate and each day it holds until, with its baseline."""

from __future__ import annotations

import base64

from libs.common.codec import decode_from
from libs.common.messages import BaselineDeclared, LiveUnlocked, Message
from services.cli.unlock import declare_unlocked
from tests.nats_stack import NatsStack
from tests.unit.research.test_certificate import NOW, certificate


async def test_a_restart_says_nothing_new_and_a_longer_life_is_said(nats: NatsStack) -> None:
    """So that nobody trades longer than the log says. What an operator declared since is not undone."""
    cli, admin = await nats.connect("cli"), await nats.connect("admin")
    paper = certificate()

    async def said(days_max: int, found=paper, now: int = NOW) -> int | None:
        return await declare_unlocked(cli.client, found, author="eva", days_max=days_max, now=now)

    async def at(seq: int) -> Message:
        found = await admin.ask("$JS.API.STREAM.MSG.GET.TRADING_0001", {"seq": seq})
        return decode_from(found["message"]["subject"], base64.b64decode(found["message"]["data"]))

    assert await said(30) == 2
    assert isinstance(await at(1), BaselineDeclared)
    assert await said(30) is None
    assert await said(90) == 3
    longer = await at(3)
    assert isinstance(longer, LiveUnlocked)
    assert longer.expires_at == paper.expires_at(90)
    other = certificate(code_version="0ther")
    assert other.digest != paper.digest
    assert await said(90, other, NOW + 1) == 5
