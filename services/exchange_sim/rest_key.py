"""What the key may do: apiRestrictions, and behind the stage /sim/key and /sim/clock-skew.

POST /sim/key          {"revoked": true}         -2015 on everything signed until {"revoked": false}
                       {"withdrawals": true}     also "trading" and "ip_restricted", each by itself or together
POST /sim/clock-skew   {"ms": 5000}              the clock that time stamps are checked by, and `time` tells, is so much ahead
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from services.exchange_sim.clock import VenueClock
from services.exchange_sim.replies import reply
from services.exchange_sim.signing import Gate, KeyRights
from services.exchange_sim.wire import Json, millis

SKEW_MS_MAX = 86_400_000


class _KeyChange(msgspec.Struct, forbid_unknown_fields=True):
    revoked: bool | None = None
    withdrawals: bool | None = None
    trading: bool | None = None
    ip_restricted: bool | None = None


class _Skew(msgspec.Struct, forbid_unknown_fields=True):
    ms: int


class KeyRest:
    """Handlers of what concerns the key itself."""

    def __init__(self, gate: Gate, clock: VenueClock):
        self._gate = gate
        self._clock = clock

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        yield web.get("/sapi/v1/account/apiRestrictions", self.restrictions)
        yield web.get("/sim/key", self.show)
        yield web.post("/sim/key", self.change)
        yield web.post("/sim/clock-skew", self.skew)

    async def restrictions(self, request: web.Request) -> web.Response:
        """GET apiRestrictions."""
        self._gate.open_rest(request.rel_url.raw_query_string, request.headers.get("X-MBX-APIKEY"))
        return reply(restrictions_shown(self._gate.rights, self._clock.now_ns()))

    async def show(self, request: web.Request) -> web.Response:
        """GET key: what it may do."""
        return reply(self._gate.rights)

    async def change(self, request: web.Request) -> web.Response:
        """POST key: change what is named."""
        try:
            asked = msgspec.json.decode(await request.read(), type=_KeyChange)
        except msgspec.DecodeError as error:
            return reply({"error": f'wanted for example {{"revoked": true}}: {error}'}, 400)
        changes = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}
        self._gate.rights = msgspec.structs.replace(self._gate.rights, **changes)
        return reply(self._gate.rights)

    async def skew(self, request: web.Request) -> web.Response:
        """POST clock-skew."""
        try:
            asked = msgspec.json.decode(await request.read(), type=_Skew)
        except msgspec.DecodeError as error:
            return reply({"error": f'wanted {{"ms": <milliseconds ahead>}}: {error}'}, 400)
        if abs(asked.ms) > SKEW_MS_MAX:
            return reply({"error": f"wanted at most {SKEW_MS_MAX} ms either way"}, 400)
        self._gate.skew_ms = asked.ms
        return reply({"ms": asked.ms})


def restrictions_shown(rights: KeyRights, now: int) -> Json:
    """The answer of apiRestrictions."""
    return {
        "ipRestrict": rights.ip_restricted,
        "createTime": millis(now),
        "enableReading": True,
        "enableWithdrawals": rights.withdrawals,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": True,
        "enableSpotAndMarginTrading": rights.trading,
        "enablePortfolioMarginTrading": False,
    }
