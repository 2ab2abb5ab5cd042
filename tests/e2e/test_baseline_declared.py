"""A baseline comes into a real log under the operator's name, and only a baseline does."""

from __future__ import annotations

import base64

import msgspec
import pytest

from libs.common.codec import decode_from
from libs.common.messages import Baseline, BaselineDeclared
from libs.trading.baseline import distribution
from services.cli.baseline import BaselineError, declare_baseline
from tests.nats_stack import NatsStack

FEW = distribution("hit_rate", [1.0, 0.0])
BASELINE = Baseline(source="paper, November", from_ts=1, until_ts=2, metrics=(FEW,))


async def test_a_baseline_is_declared_by_the_operator_and_a_repeat_is_recognised(nats: NatsStack) -> None:
    """The CLI's user may say it, on its own subject; another time is another declaration, the same is none."""
    cli = await nats.connect("cli")
    assert await declare_baseline(cli.client, BASELINE, "eva", 5) == 1
    assert await declare_baseline(cli.client, BASELINE, "eva", 5) is None
    assert await declare_baseline(cli.client, BASELINE, "eva", 6) == 2
    admin = await nats.connect("admin")
    found = await admin.ask("$JS.API.STREAM.MSG.GET.TRADING_0001", {"last_by_subj": "ops.cli.baseline_declared"})
    said = decode_from(found["message"]["subject"], base64.b64decode(found["message"]["data"]))
    assert isinstance(said, BaselineDeclared)
    assert (said.baseline, said.author, said.ts_init) == (BASELINE, "eva", 6)


async def test_what_is_no_baseline_is_not_said_at_all(nats: NatsStack) -> None:
    """The ledger would refuse it; whoever declares it is told first."""
    cli = await nats.connect("cli")
    wrong = msgspec.structs.replace(BASELINE, metrics=(FEW, FEW))
    with pytest.raises(BaselineError, match="a metric is named twice"):
        await declare_baseline(cli.client, wrong, "eva", 5)
    assert await declare_baseline(cli.client, BASELINE, "eva", 5) == 1
