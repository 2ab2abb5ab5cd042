"""The floor under a submission: nats-py and aiohttp, and nothing of ours. It trusts every approval, and checks none.

    python -m benchmarks.submission_floor <home> <nats url> <venue url>

    floor.approved.>  ──▶  append floor.submitting.<instrument>, if the prefix still ends there  ──▶  POST /api/v3/order, signed

A pushed consumer without acknowledgements on a stream of the log's own configuration; one approval after the other.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import nats
import uvloop
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from libs.runtime.nats_config import ADMIN_USER, connect_options

STREAM = "FLOOR"
PREFIX = "floor.submitting.>"
READY = "ready"


def order_params(approval: dict[str, Any]) -> dict[str, str]:
    """What is asked of the venue, unsigned; the intent's id is the order's."""
    return {
        "symbol": approval["instrument"].replace("-", ""),
        "side": approval["side"],
        "type": approval["ord_type"],
        "quantity": approval["order_qty"],
        "newClientOrderId": approval["intent_id"],
        "newOrderRespType": "FULL",
        "price": approval["limit_px"],
        "timeInForce": approval["time_in_force"],
    }


def signed(params: dict[str, str], secret: bytes) -> str:
    """The body of a signed request, now."""
    text = urlencode({**params, "timestamp": time.time_ns() // 1_000_000, "recvWindow": 5_000})
    return f"{text}&signature={hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}"


def key_headers(key: str) -> dict[str, str]:
    """What names the caller."""
    return {"X-MBX-APIKEY": key, "Content-Type": "application/x-www-form-urlencoded"}


async def run(home: Path, nats_url: str, venue_url: str) -> None:
    """Submit for ever."""
    key = (home / "keys" / "venue-api-key").read_text()
    secret = (home / "keys" / "venue-api-secret").read_bytes()
    client = await nats.connect(**connect_options(home, ADMIN_USER, nats_url))
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.NEW)
    approvals = await client.jetstream().subscribe("floor.approved.>", stream=STREAM, config=config)
    tail = 0
    async with aiohttp.ClientSession(headers=key_headers(key)) as venue:
        print(READY, flush=True)
        while True:
            approval = json.loads((await _next(approvals)).data)
            params = order_params(approval)
            written = json.dumps({**params, "id": f"submitting {params['newClientOrderId']}"}).encode()
            headers = {
                "Nats-Msg-Id": f"{params['newClientOrderId']}.{tail}",
                "Nats-Expected-Last-Subject-Sequence": str(tail),
                "Nats-Expected-Last-Subject-Sequence-Subject": PREFIX,
            }
            subject = f"floor.submitting.{approval['instrument']}"
            reply = json.loads((await client.request(subject, written, timeout=5, headers=headers)).data)
            tail = reply["seq"]
            async with venue.post(f"{venue_url}/api/v3/order", data=signed(params, secret)) as answer:
                await answer.read()


async def _next(approvals: Any) -> Msg:
    while True:
        try:
            return await approvals.next_msg(timeout=600)
        except nats.errors.TimeoutError:
            continue


if __name__ == "__main__":
    uvloop.run(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
