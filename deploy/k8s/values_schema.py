"""The schema of the chart's values, from the fleet: what is not in it is refused, before anything is rendered."""

from __future__ import annotations

from typing import Any

from deploy.k8s.cluster import MODES
from services.cli.deploy import fleet

TEXT: dict[str, Any] = {"type": "string"}
BOOLEAN: dict[str, Any] = {"type": "boolean"}
NAME: dict[str, Any] = {"type": "string", "pattern": "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"}
DIGEST: dict[str, Any] = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
TAG: dict[str, Any] = {
    "type": "string",
    "pattern": "^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$",
    "not": {"pattern": "^latest"},
}
URL: dict[str, Any] = {"type": "string", "pattern": "^(|(https?|tls|nats)://[^@\\s]+)$"}
OTLP: dict[str, Any] = {"type": "string", "pattern": "^(|https?://[^@/:\\s]+:[0-9]+(/[^\\s]*)?)$"}
"""With its port, which the policies need."""
SIZE: dict[str, Any] = {"type": "string", "pattern": "^[0-9]+(Mi|Gi|Ti)$"}
PORT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 65535}
PEER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "properties": {each: {"type": "object"} for each in ("podSelector", "namespaceSelector", "ipBlock")},
}
PEERS: dict[str, Any] = {"type": "array", "items": PEER}
SECRET_NAMES = "(SECRET|TOKEN|PASSWORD|PASSPHRASE|API_KEY|PRIVATE_KEY|SIGNING_KEY|DATABASE_URL)$"  # noqa: S105  a pattern of names
VARIABLES: dict[str, Any] = {
    "type": "object",
    "description": "a secret is a file, named by a variable that ends in _FILE; one that is given as a value is refused",
    "propertyNames": {"pattern": "^(BULKHEAD_[A-Z0-9_]+|HTTPS_PROXY|NO_PROXY)$", "not": {"pattern": SECRET_NAMES}},
    "additionalProperties": TEXT,
}
LABELS: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}
RESOURCES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        each: {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
        for each in ("requests", "limits")
    },
}


def _closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _service(member: fleet.Member) -> dict[str, Any]:
    found = _closed(
        replicas={
            "const": 1,
            "description": "one writer each; a second would only wait, and two executors are refused",
        },
        digest=DIGEST,
        resources=RESOURCES,
        existingSecret=NAME,
        environment=VARIABLES,
        outsidePorts={"type": "array", "items": PORT, "minItems": 1},
    )
    if member.is_optional:
        found["properties"]["enabled"] = BOOLEAN
    return found


def _other_image() -> dict[str, Any]:
    return {
        **_closed(repository={"type": "string", "minLength": 1}, tag={**TAG, "minLength": 1}, digest=DIGEST),
        "required": ["repository", "tag"],
    }


def _storage() -> dict[str, Any]:
    return _closed(size=SIZE, storageClass=NAME)


def _nats() -> dict[str, Any]:
    replicas = {"enum": [1, 3]}
    found = _closed(
        mode={"enum": ["builtin", "existing"]},
        replicas=replicas,
        image=_other_image(),
        existingSecret=NAME,
        routesSecret=NAME,
        storage=_storage(),
        resources=RESOURCES,
        existing=_closed(url=URL, monitorUrl=URL, peers=PEERS, podLabels=LABELS, replicas=replicas),
    )
    wants = {"existing": {"properties": {"url": {"pattern": "^(tls|nats)://[^@\\s]+$"}}}}
    return {**found, "if": {"properties": {"mode": {"const": "existing"}}}, "then": {"properties": wants}}


def _postgres() -> dict[str, Any]:
    cnpg = _closed(
        instances={"type": "integer", "minimum": 1, "maximum": 5},
        image=TEXT,
        serverSecret=NAME,
        authoritySecret=NAME,
        ownerSecret=NAME,
        operatorNamespace=NAME,
        extra={"type": "object"},
    )
    return _closed(
        mode={"enum": ["builtin", "cnpg", "existing"]},
        image=_other_image(),
        existingSecret=NAME,
        storage=_storage(),
        resources=RESOURCES,
        cnpg=cnpg,
        existing=_closed(peers=PEERS),
    )


def values_schema() -> dict[str, Any]:
    """The document."""
    live = {"properties": {"live": {"properties": {"certificate": {"minLength": 1}}, "required": ["certificate"]}}}
    found = _closed(
        mode={"enum": list(MODES)},
        book={"type": "string", "pattern": "^[a-z0-9_-]{1,32}$"},
        newcomer=BOOLEAN,
        marketUrl=URL,
        live=_closed(venueUrl=URL, certificate=NAME),
        image=_closed(
            registry={"type": "string", "pattern": "^[^/\\s]*$"},
            prefix={"type": "string", "pattern": "^([a-z0-9._-]+/)*$"},
            tag=TAG,
            pullPolicy={"enum": ["IfNotPresent", "Always", "Never"]},
            pullSecrets={"type": "array", "items": NAME},
        ),
        settings=VARIABLES,
        egress={"type": "string", "pattern": "^[A-Za-z0-9_-]{0,64}$"},
        keysRevision=TEXT,
        defaults=_closed(resources=RESOURCES, nodeSelector={"type": "object"}, tolerations={"type": "array"}),
        state=_storage(),
        services=_closed(**{each.service: _service(each) for each in fleet.members()}),
        venue=_closed(digest=DIGEST, existingSecret=NAME, environment=VARIABLES, resources=RESOURCES),
        open=_closed(
            digest=DIGEST,
            existingSecret=NAME,
            deadlineS={"type": "integer", "minimum": 60, "maximum": 3600},
            resources=RESOURCES,
        ),
        operator=_closed(enabled=BOOLEAN, existingSecret=NAME, resources=RESOURCES),
        backup=_closed(
            enabled=BOOLEAN,
            drillDays={"type": "integer", "minimum": 0, "maximum": 365},
            storage=_storage(),
            existingClaim=NAME,
            resources=RESOURCES,
        ),
        nats=_nats(),
        postgres=_postgres(),
        network=_closed(enabled=BOOLEAN, dns=PEERS, outside=PEERS, console=PEERS, scrapers=PEERS),
        traces=_closed(endpoint=OTLP, peers=PEERS),
        spread={"enum": ["ScheduleAnyway", "DoNotSchedule"]},
        monitoring=_closed(
            podMonitor=BOOLEAN,
            rules=BOOLEAN,
            dashboards=BOOLEAN,
            labels=LABELS,
        ),
        **{"global": {"type": "object"}},
    )
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **found,
        "if": {"properties": {"mode": {"const": "live"}}, "required": ["mode"]},
        "then": live,
    }
