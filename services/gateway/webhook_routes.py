"""Alertmanager's alerts, into the log as alerts of ours: what is known by name is taken over, everything else is dropped."""

from __future__ import annotations

import re
import time
from collections import deque
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from libs.common.messages import AlertRaised
from libs.desk.commands import NotSaid, is_instrument
from libs.desk.desk import Desk
from services.gateway.answers import Recorded
from services.gateway.callers import Caller, Needs
from services.gateway.documents import shows, told
from services.gateway.problems import Problem
from services.gateway.standing_routes import desk_of

ALERTS_MAX = 100
ALERTS_A_MINUTE_MAX = 120
"""So many are recorded: everybody who trades reads the log, and whoever holds a token for alerts must not fill it."""
MINUTE_S = 60.0
SAME_S = 300.0
KNOWN_MAX = 2048
TEXT_CHARS_MAX = 300
LABELS = ("service", "job", "instance", "venue")
"""Labels that are repeated in the text."""
ANNOTATIONS = ("summary", "description")
SEVERITIES: dict[str, Literal["page", "ticket", "note"]] = {
    "page": "page",
    "critical": "page",
    "ticket": "ticket",
    "warning": "ticket",
}

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])


class Alert(BaseModel):
    """One alert of Alertmanager's."""

    model_config = ConfigDict(extra="ignore", strict=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = Field(max_length=64)
    annotations: dict[str, str] = Field(default_factory=dict, max_length=64)
    startsAt: str = Field(default="", max_length=64)
    fingerprint: str = Field(default="", max_length=64)


class Webhook(BaseModel):
    """A notification of Alertmanager's, in the fourth version of its form."""

    model_config = ConfigDict(extra="ignore", strict=True)

    version: Literal["4"]
    status: Literal["firing", "resolved"]
    alerts: list[Alert] = Field(max_length=ALERTS_MAX)


class Brought:
    """Which alerts were brought within the last minutes: Alertmanager repeats what it is not sure of."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, ...], float] = {}
        self._recorded: deque[float] = deque(maxlen=ALERTS_A_MINUTE_MAX)

    def is_new(self, alert: Alert, now: float) -> bool:
        """Whether this was not brought within `SAME_S`."""
        before = self._at.get(_key(alert))
        return before is None or now - before >= SAME_S

    def is_too_much(self, now: float) -> bool:
        """Whether as many were recorded within the last minute as may be."""
        return len(self._recorded) == ALERTS_A_MINUTE_MAX and now - self._recorded[0] < MINUTE_S

    def forget(self, alert: Alert) -> None:
        """It did not get into the log."""
        self._at.pop(_key(alert), None)

    def remember(self, alert: Alert, now: float) -> None:
        """It is on its way into the log: whoever brings it meanwhile brings nothing new."""
        self._recorded.append(now)
        self._at.pop(_key(alert), None)
        self._at[_key(alert)] = now
        while len(self._at) > KNOWN_MAX:
            del self._at[next(iter(self._at))]


@router.post("/alertmanager", response_class=Response, responses=shows(Recorded, 400, 415))
async def alertmanager(
    request: Request, webhook: Webhook, caller: Annotated[Caller, Depends(Needs("alerts"))]
) -> Response:
    """Record alerts; answers 503 while the log cannot take them, and Alertmanager brings them again."""
    desk: Desk = desk_of(request)
    brought: Brought = request.app.state.brought
    recorded = known = 0
    for alert in webhook.alerts:
        now = time.monotonic()
        if not brought.is_new(alert, now):
            known += 1
            continue
        if brought.is_too_much(now):
            request.scope["state"]["refused"] = "RATE"
            text = "too many alerts within a minute; those that are not recorded yet may come again"
            raise Problem(503, "too-many-alerts", text, headers={"Retry-After": "30"})
        brought.remember(alert, now)
        try:
            await desk.record(raised_by(alert))
        except NotSaid as error:
            brought.forget(alert)
            raise Problem(503, "not-said", f"{error.text}; {error.cure}", headers={"Retry-After": "5"}) from None
        recorded += 1
    return told(Recorded(recorded=recorded, known=known))


def raised_by(alert: Alert) -> AlertRaised:
    """The alert as the log has it. One that is over wakes nobody."""
    name = re.sub(r"[^A-Z0-9]+", "_", alert.labels.get("alertname", "unnamed").upper()).strip("_")[:64] or "UNNAMED"
    severity = SEVERITIES.get(alert.labels.get("severity", "").lower(), "note")
    words = [alert.annotations[each] for each in ANNOTATIONS if alert.annotations.get(each)][:1]
    marks = [f"{each}={alert.labels[each]}" for each in LABELS if alert.labels.get(each)]
    text = " ".join([f"{alert.status}:", *words, *([f"({', '.join(marks)})"] if marks else [])])
    instrument = alert.labels.get("instrument", "")
    return AlertRaised(
        code=f"ALERTMANAGER_{name}",
        severity="note" if alert.status == "resolved" else severity,
        text="".join(each if each.isprintable() else " " for each in text)[:TEXT_CHARS_MAX],
        instrument=instrument if is_instrument(instrument) else "",
    )


def _key(alert: Alert) -> tuple[str, ...]:
    labels = tuple(f"{name}={alert.labels[name]}" for name in sorted(alert.labels))
    return (alert.status, alert.startsAt, alert.fingerprint, *labels)
