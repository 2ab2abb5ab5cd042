"""Where faults are asked for, by a test in this process or over HTTP: `add`, `end`, `shown`.

From Python, inside the running loop:

    server.faults.add(SocketFault(kind="freeze", stream="btcusdt@trade", seconds=3))
    server.faults.end()
"""

from __future__ import annotations

import asyncio

from services.exchange_sim.fault_script import FaultScript
from services.exchange_sim.faults import IMMEDIATE, Fault, SocketFault, VenueFault
from services.exchange_sim.rest_faults import RestFaults
from services.exchange_sim.socket_faults import SocketFaults
from services.exchange_sim.wire import Json


class FaultDesk:
    """Enters faults into the script and sees that those with an end end."""

    def __init__(self) -> None:
        self.script = FaultScript()
        self.sockets = SocketFaults(self.script)
        self.rest = RestFaults(self.script)

    def add(self, fault: Fault) -> Json:
        """Enter `fault`; its `id`, where it has one, and how many `sockets` it met at once. What has struck is over."""
        standing = self.script.add(fault)
        if standing is None:
            return {}
        met = 0
        if isinstance(fault, SocketFault):
            met = self.sockets.begin(standing, fault)
        elif isinstance(fault, VenueFault):
            met = self.sockets.reset_all(fault.venue)
        if fault.kind in IMMEDIATE and isinstance(fault, SocketFault):
            self.end(standing.number)
        elif fault.seconds is not None:
            asyncio.get_running_loop().call_later(fault.seconds, self.end, standing.number)
        return {"id": standing.number, "sockets": met}

    def end(self, number: int | None = None) -> int:
        """End one fault, or everything that waits or lasts; how many of those there were."""
        ended = self.script.end(number)
        for standing in ended:
            self.sockets.end(standing)
        return len(ended)

    def shown(self) -> Json:
        """What is to come for orders (`pending`), and what waits or lasts elsewhere (`active`)."""
        return self.script.shown()
