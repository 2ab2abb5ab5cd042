"""Writes what the code knows: `docs/events.md` for people, `docs/asyncapi.json` (AsyncAPI 3) for tools, `docs/orders.md` of an order's
life; `.env.example`, `docs/ENVIRONMENT_VARIABLES.md`, `deploy/bulkhead.example.toml` and `docs/limits.md` of the settings; the index of the runbooks; `docs/metrics.md`; rules, scraping,
routes and dashboards under `deploy/`.

Run by `make docs`. The pages are committed, and a test fails when they are not what the code says.
"""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect

from libs.common.codec import PAYLOAD_BYTES_MAX
from libs.common.messages import ALL, Answer, Message, OrdStatus
from libs.common.subjects import filter_of, may_say, subject_matches
from libs.runtime.contract import Contract
from libs.runtime.registry import contracts
from services.cli.monitoring.files import deployed
from services.cli.monitoring.settings import AlertSettings
from services.order_executor.orders import CLOSED
from services.order_executor.transitions import TRANSITIONS, Fact
from services.risk_gate.checks import BAR_CHECKS, CHECKS, LEVEL_CHECKS, MACRO_CHECKS, SIGNAL_CHECKS

HERE = Path(__file__).parent
NANOSECONDS = re.compile(r"ts(_.*)?|.*_ts|as_of|due|valid_until")
METADATA = Message.__struct_fields__
CHAPTERS = {
    "feed": "The market feed",
    "trading": "From opinion to verdict",
    "execution": "Orders and the venue",
    "ledger": "The books",
    "decisions": "Decisions",
    "models": "Models",
    "people": "People",
    "keeping": "Backups",
    "watch": "The regression watch",
    "service": "Every service, about itself",
}
HEADERS = {
    "Nats-Msg-Id": "the message's id and the end of its writer's prefix; nothing relies on it",
    "Nats-Expected-Last-Subject-Sequence": "where the writer's prefix must still end for the append to be taken",
    "Nats-Expected-Last-Subject-Sequence-Subject": "the writer's prefix, `<writer>.>`",
    "traceparent": "W3C trace context of the span that published the message; the trace is the story (`correlation_id`)",
}
WRITTEN_BY = "<!-- Written by docs/generate.py from the code; `make docs` writes it again. -->"

WRITTEN_AS_YAML = "# Written by docs/generate.py; `make docs` writes it again.\n"


def tag_of(kind: type[Message]) -> str:
    """The type's name and version on the wire."""
    return str(kind.__struct_config__.tag)


def address_of(kind: type[Message]) -> str:
    """Its subject with braces for what varies: `agent.{name}.signals`, `{writer}.alert`."""
    writer = "{writer}" if kind.said_by == "*" else kind.said_by.replace("*", "{name}")
    return f"{writer}.{kind.suffix}"


def speakers(kind: type[Message]) -> list[Contract]:
    """The services that may say it."""
    return [contract for contract in contracts() if kind in contract.says]


def hearers(kind: type[Message]) -> list[str]:
    """The services, and the projections of services, that read it."""
    return [name for contract in contracts() for name in _ears(contract, kind)]


def _ears(contract: Contract, kind: type[Message]) -> Iterator[str]:
    itself = (*contract.hears_itself, *(each for each in contract.says if issubclass(each, Answer)))
    heartbeat = kind.said_by == "*" and kind.__name__ in ("ServiceStarted", "TimerFired")
    if kind in contract.consumes:
        yield contract.service
    elif kind in itself or (heartbeat and kind in contract.says):
        yield f"{contract.service} (its own)"
    for reader in contract.readers:
        said = [filter_of(kind, other.writer) for other in contracts() if kind in other.says]
        if any(subject_matches(wanted, subject) for wanted in reader.filters for subject in said):
            yield f"{reader.durable} (a projection)"


# --- events.md ------------------------------------------------------------------------------------------------------


def events_page() -> str:
    """The text of `docs/events.md`."""
    blocks = [
        "# Events",
        WRITTEN_BY,
        f"{len(ALL)} types. A subject starts with who says it. *Source* events enter the system (a price, a timer, a recorded "
        "answer, a command) and are taken as input by the replay proof; *derived* events are re-derived byte for byte. "
        "JSON, strict: an unknown type, version or field is refused. The machine-readable form is [asyncapi.json](asyncapi.json).",
        "## Who hears whom",
        _flow(),
        "## What every event carries",
        _prose(Message),
        _table(Message, METADATA),
        "Beside the payload, in headers:",
        "\n".join(f"- `{name}`: {meaning}" for name, meaning in HEADERS.items()),
    ]
    for chapter, title in CHAPTERS.items():
        blocks.append(f"## {title}")
        for kind in _kinds_of(chapter):
            blocks += _entry(kind)
    blocks.append("## Parts of events")
    for part in _parts():
        blocks += [f"### {part.__name__}", _prose(part), _table(part, part.__struct_fields__)]
    return "\n\n".join(blocks) + "\n"


def _kinds_of(chapter: str) -> list[type[Message]]:
    found = [kind for kind in ALL if kind.__module__.rsplit(".", 1)[-1] == chapter]
    return sorted(found, key=tag_of)


def _entry(kind: type[Message]) -> list[str]:
    said = ", ".join(contract.service for contract in speakers(kind)) or f"`{kind.said_by}`, outside the log"
    if len(speakers(kind)) == len(contracts()):
        said = "every service"
    origin = "a recorded answer (source)" if issubclass(kind, Answer) else "source" if kind.is_source else "derived"
    facts = f"`{tag_of(kind)}` on `{address_of(kind)}` · {origin} · said by {said} · heard by {', '.join(hearers(kind)) or 'people'}"
    own = tuple(name for name in kind.__struct_fields__ if name not in METADATA)
    return [f"### {kind.__name__}", facts, _prose(kind), *([_table(kind, own)] if own else [])]


def _flow() -> str:
    """Who reads whom, as a picture; what every writer says about itself is left out."""
    lines = ["```mermaid", "flowchart LR"]
    for speaker in contracts():
        for hearer in contracts():
            kinds = [kind.__name__ for kind in speaker.produces if kind in hearer.consumes]
            if kinds:
                lines.append(f'    {speaker.service} -- "{"<br/>".join(kinds)}" --> {hearer.service}')
    return "\n".join([*lines, "```"])


def _prose(cls: Any) -> str:
    return " ".join((cls.__doc__ or "").split())


def _table(cls: type, names: tuple[str, ...]) -> str:
    fields = {field.name: field for field in inspect.type_info(cls).fields}  # type: ignore[attr-defined]
    rows = [f"| `{name}` | {_type_text(name, fields[name].type)} |" for name in names]
    return "\n".join(["| field | type |", "|---|---|", *rows])


def _type_text(name: str, info: Any) -> str:
    match info:
        case inspect.LiteralType(values):
            return " \\| ".join(f"`{value}`" if value else "(empty)" for value in values)
        case inspect.IntType():
            return "integer, ns UTC" if NANOSECONDS.fullmatch(name) else "integer"
        case inspect.DecimalType():
            return "decimal, as text"
        case inspect.StructType(cls):
            return f"[{cls.__name__}](#{cls.__name__.lower()})"
        case inspect.VarTupleType(item):
            return f"list of: {_type_text(name, item)}"
        case inspect.DictType(_, value):
            return f"by name: {_type_text(name, value)}"
        case inspect.UnionType(types):
            return " or ".join(_type_text(name, each) for each in types)
    plain = {
        "StrType": "text",
        "BoolType": "true or false",
        "FloatType": "number",
        "NoneType": "null",
        "AnyType": "any JSON",
    }
    return plain[type(info).__name__]


def _parts() -> list[type]:
    """Structs that stand inside events."""
    found: set[type] = set()

    def look(info: Any) -> None:
        if isinstance(info, inspect.StructType):
            if not issubclass(info.cls, Message):
                found.add(info.cls)
            for field in info.fields:
                look(field.type)
        for inner in ("item_type", "value_type"):
            if hasattr(info, inner):
                look(getattr(info, inner))
        for each in getattr(info, "types", ()):
            look(each)

    for kind in ALL:
        look(inspect.type_info(kind))
    return sorted(found, key=lambda cls: cls.__name__)


# --- asyncapi.json --------------------------------------------------------------------------------------------------


def asyncapi_document() -> dict[str, Any]:
    """The AsyncAPI 3 document: a channel for each type, an operation for each service that sends or receives it."""
    _, schemas = msgspec.json.schema_components(ALL, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Bulkhead",
            "version": "1.0.0",
            "description": "The events of one book's log. A subject starts with who says it.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {kind.__name__: _channel(kind) for kind in ALL},
        "operations": dict(_operations()),
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in ALL},
            "messageTraits": {"log": {"headers": _headers()}},
            "schemas": schemas,
        },
    }


def _channel(kind: type[Message]) -> dict[str, Any]:
    parameters = {name: {"description": _parameter(kind, name)} for name in re.findall(r"\{(\w+)\}", address_of(kind))}
    return {
        "address": address_of(kind),
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"}},
        **({"parameters": parameters} if parameters else {}),
    }


def _parameter(kind: type[Message], name: str) -> str:
    if name == "writer":
        return "any writer: " + ", ".join(contract.writer for contract in contracts() if may_say(contract.writer, kind))
    return "the writer's own name" if name == "name" else f"the message's `{name}`"


def _message(kind: type[Message]) -> dict[str, Any]:
    return {
        "name": tag_of(kind),
        "title": kind.__name__,
        "summary": _prose(kind),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "traits": [{"$ref": "#/components/messageTraits/log"}],
    }


def _headers() -> dict[str, Any]:
    described = {name: {"type": "string", "description": meaning} for name, meaning in HEADERS.items()}
    return {
        "type": "object",
        "properties": described,
        "description": f"A payload has at most {PAYLOAD_BYTES_MAX} bytes.",
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for contract in contracts():
        for action, kinds in (("send", contract.says), ("receive", contract.consumes)):
            for kind in kinds:
                channel = f"#/channels/{kind.__name__}"
                yield (
                    f"{contract.service}.{action}.{kind.__name__}",
                    {
                        "action": action,
                        "channel": {"$ref": channel},
                        "summary": f"{contract.service} ({contract.zone.value}) {action}s {kind.__name__}",
                        "messages": [{"$ref": f"{channel}/messages/{kind.__name__}"}],
                    },
                )


# --- orders.md ------------------------------------------------------------------------------------------------------


def orders_page() -> str:
    """The text of `docs/orders.md`."""
    blocks = [
        "# The life of an order",
        WRITTEN_BY,
        "Every order of the executor moves by this one table, whatever the source of the news (an answer, the user stream, a "
        "look-up, an account reading). Two dashes: the fact cannot happen to such an order; it is told to a person and changes "
        "nothing. A number leads to a note.",
        "## In a picture",
        "Facts that change nothing are left out; all of them are in the table.",
        _lives(),
        "## In full",
        *_order_table(),
        "## Where it is used",
        "The table is `services/order_executor/transitions.py`; `hearing.py` is the only one who moves an order by it. "
        "The events are in [events.md](events.md).",
    ]
    return "\n\n".join(blocks) + "\n"


def checks_page() -> str:
    """The text of `docs/checks.md`."""
    blocks = [
        "# What the risk gate checks",
        WRITTEN_BY,
        "Every intent is held against all of these, and every verdict carries each with its value and its limit "
        "([risk.md](risk.md) says what they are for). What lacks an input fails.",
        _check_table(CHECKS),
        "Where the gate listens to the macro agent (`BULKHEAD_RISK_MACRO`), these as well:",
        _check_table(MACRO_CHECKS),
        "Where it listens to the levels agent (`BULKHEAD_RISK_LEVELS`):",
        _check_table(LEVEL_CHECKS),
        "Where it judges by the bars it hears (`BULKHEAD_RISK_BARS`):",
        _check_table(BAR_CHECKS),
        "Where it looks at the opinion behind an entry (`BULKHEAD_RISK_SIGNALS`):",
        _check_table(SIGNAL_CHECKS),
    ]
    return "\n\n".join(blocks) + "\n"


def _check_table(checks: Iterable[tuple[str, bool, Any]]) -> str:
    lines = ["| code | for exits too | what it asks |", "|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| `{code}` | {'yes' if both else ''} | {_prose(test)} |" for code, both, test in checks)]
    )


def _lives() -> str:
    """The rows that lead somewhere else, those between the same two statuses on one arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (old, fact), row in TRANSITIONS.items():
        if row.status != old:
            arrows.setdefault((old, row.status), []).append(fact.value)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> PENDING_NEW: submitted"]
    lines += [f"    {old} --> {new}: {', '.join(facts)}" for (old, new), facts in arrows.items()]
    lines += [f"    {status} --> [*]" for status in CLOSED]
    return "\n".join([*lines, "```"])


def _order_table() -> list[str]:
    """One line a fact, one column a status; then the notes."""
    statuses: tuple[OrdStatus, ...] = get_args(OrdStatus)
    notes: list[str] = []
    lines = ["| fact | " + " | ".join(f"is {status}" for status in statuses) + " |", "|---" * (len(statuses) + 1) + "|"]
    for fact in Fact:
        cells = []
        for status in statuses:
            row = TRANSITIONS.get((status, fact))
            cell = "--" if row is None else row.status if row.status != status else "stays"
            if row is not None and row.note:
                notes.append(f"{len(notes) + 1}. {status}, then {fact.value}: {row.note}.")
                cell += f" ({len(notes)})"
            cells.append(cell)
        lines.append(f"| `{fact.value}` | " + " | ".join(cells) + " |")
    return ["\n".join(lines), "\n".join(notes)]


def defaults_of(kind: Any) -> Any:
    """Settings as nobody has changed them, whatever stands in the environment."""
    return kind.model_construct()


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    config, environment, grafana = (
        runpy.run_path(str(HERE / name)) for name in ("config_file.py", "environment.py", "grafana.py")
    )
    deploy = HERE.parent / "deploy"
    return {
        HERE.parent / ".env.example": environment["env_example"](),
        HERE / "ENVIRONMENT_VARIABLES.md": environment["environment_page"](WRITTEN_BY),
        HERE.parent / "deploy" / "bulkhead.example.toml": config["example"](),
        HERE.parent / "libs" / "runtime" / "setting_names.py": config["names_module"](),
        HERE / "limits.md": config["limits_page"](WRITTEN_BY),
        HERE / "events.md": events_page(),
        HERE / "orders.md": orders_page(),
        HERE / "checks.md": checks_page(),
        HERE / "runbooks" / "README.md": runpy.run_path(str(HERE / "runbooks_index.py"))["index"](WRITTEN_BY),
        HERE / "metrics.md": runpy.run_path(str(HERE / "metrics_page.py"))["metrics_page"](WRITTEN_BY),
        **{deploy / path: text for path, text in deployed(defaults_of(AlertSettings)).items()},
        **{deploy / "grafana" / "dashboards" / name: text for name, text in grafana["dashboards"]().items()},
        **{deploy / "grafana" / name: WRITTEN_AS_YAML + text for name, text in grafana["PROVISIONED"].items()},
        HERE / "asyncapi.json": json.dumps(asyncapi_document(), indent=1, ensure_ascii=False, sort_keys=False) + "\n",
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.name}, {len(text.splitlines())} lines")
