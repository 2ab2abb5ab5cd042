"""What can be made to go wrong at the venue, as data: four scopes, each with its kinds, as JSON for POST /sim/faults and as Python.

- `{"on": "order", "kind": "timeout_after_accept" | "reset_after_accept" | "reset_before_accept" | "http_503" | "reject"}`:
  what becomes of the next POST order, order/cancelReplace or orderList/oco, or of those of one `ord_type` as long as it stands. `on` may be left out.
- `{"on": "socket", "kind": …}`: `reset`, `close`, `inject` strike at once; `freeze` and `black_hole` last; `drop`, `duplicate`,
  `hold`, `mangle` and `refuse_subscribe` wait for what they strike. `stream` says where: a part of a stream's name, or a pattern with
  `*` and `?`; without it, every market socket of `venue`. The user data streams are a stream named `account`.
- `{"on": "rest", "kind": …, "path": "/api/v3/klines"}`: `status`, `html`, `truncated`, `empty`, `empty_object`, `hang`, `reset`.
  `path` is a pattern; a handshake is a GET of its path.
- `{"on": "venue", "kind": "down"}`: every socket is reset, and whoever calls is refused.

All seconds are wall seconds. What counts strikes `times` times (once when that is absent) or, with `seconds`, as often as it can until
they are over; what lasts without `seconds` lasts until DELETE /sim/faults.
"""

from __future__ import annotations

import base64 as base64_codec
import binascii
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct

from libs.trading.venue_rules import VenueOrdType

OrderKind = Literal["timeout_after_accept", "reset_after_accept", "reset_before_accept", "http_503", "reject"]
SocketKind = Literal[
    "reset", "close", "freeze", "black_hole", "inject", "drop", "duplicate", "hold", "mangle", "refuse_subscribe"
]
RestKind = Literal["status", "html", "truncated", "empty", "empty_object", "hang", "reset"]
VenueName = Literal["binance", "kraken", "kucoin"]
Times = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]

COUNTED = frozenset({"times", "seconds"})
PICKING = COUNTED | {"where"}
LASTING = frozenset({"seconds", "sticky"})
SOCKET_OPTIONS: dict[SocketKind, frozenset[str]] = {
    "reset": frozenset(),
    "close": frozenset({"code"}),
    "freeze": LASTING,
    "black_hole": LASTING,
    "inject": frozenset({"text", "base64", "times"}),
    "drop": PICKING,
    "duplicate": PICKING,
    "hold": PICKING,
    "mangle": PICKING | {"field", "value", "factor", "offset"},
    "refuse_subscribe": COUNTED,
}
REST_OPTIONS: dict[RestKind, frozenset[str]] = {
    "status": COUNTED | {"code", "retry_after", "body"},
    "html": COUNTED,
    "truncated": COUNTED,
    "empty": COUNTED,
    "empty_object": COUNTED,
    "hang": COUNTED | {"delay"},
    "reset": COUNTED,
}
IMMEDIATE: frozenset[str] = frozenset({"reset", "close", "inject"})


class FaultRefused(Exception):
    """No such fault; the text says what was wanted."""


class OrderFault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What becomes of the next `times` (1) POST order, order/cancelReplace and orderList/oco, one after the other.

    With `ord_type` only those of that type are meant (a pair is of the types of both its orders, and OCO), and without `times` and
    `seconds` all of them until DELETE. `reject` takes the `code` and the text `msg` of the refusal.
    """

    kind: OrderKind
    on: Literal["order"] = "order"
    times: int | None = None
    ord_type: VenueOrdType | Literal["OCO"] | None = None
    seconds: Seconds | None = None
    code: int | None = None
    msg: str | None = None

    def __post_init__(self) -> None:
        if self.kind != "reject" and (self.code is not None or self.msg is not None):
            raise ValueError(f"{self.kind} has no code and no msg")
        if self.ord_type is None and self.seconds is not None:
            raise ValueError("seconds want an ord_type")
        if self.ord_type is not None and self.times is not None and self.times < 1:
            raise ValueError("times is at least 1")


class SocketFault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What goes wrong on WebSocket connections.

    - `reset`: the connection ends with a TCP reset. `close`: with a close frame of `code`.
    - `freeze`: market frames are lost, pings are answered; on connections made meanwhile only if `sticky`.
    - `black_hole`: nothing leaves and nothing is read, but TCP stays open until the fault ends, with a reset. A black hole cannot be
      healed: the venue forgets the connection. `sticky`: it also swallows connections made meanwhile, before the handshake.
    - `inject`: `text`, or the binary frame `base64`, is sent as it is, `times` times.
    - `drop`, `duplicate`: frames are lost, or sent twice. `hold`: they are sent after the next one of their stream that is not held.
    - `mangle`: in frames that have it, `field` (`p`, `k.c`, `data.0.price`; also looked for inside `data`) becomes `value`, any JSON;
      or, with `factor` and `offset`, itself times the one plus the other; with none of these it is removed.
    - `refuse_subscribe`: SUBSCRIBE is answered with an error.

    With `where` (`{"x": "TRADE"}`) `drop`, `duplicate`, `hold` and `mangle` strike only frames whose fields have these values. Fields
    are also looked for inside the `event` of a user data stream.
    """

    kind: SocketKind
    on: Literal["socket"] = "socket"
    venue: VenueName = "binance"
    stream: str | None = None
    seconds: Seconds | None = None
    times: Times | None = None
    sticky: bool = False
    code: Annotated[int, Meta(ge=1000, le=4999)] = 1008
    text: str | None = None
    base64: str | None = None
    field: Annotated[str, Meta(min_length=1)] | None = None
    value: Any = UNSET
    factor: float | None = None
    offset: float | None = None
    where: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        _refuse_foreign_options(self, SOCKET_OPTIONS[self.kind], ("venue", "stream"))
        if self.kind == "inject":
            if (self.text is None) == (self.base64 is None):
                raise ValueError("inject wants text or base64")
            self.frame()
        if self.kind == "mangle":
            if self.field is None:
                raise ValueError("mangle wants the field")
            if self.value is not UNSET and (self.factor is not None or self.offset is not None):
                raise ValueError("mangle wants a value, or a factor and an offset, not both")

    def frame(self) -> str | bytes:
        """What `inject` sends."""
        if self.base64 is None:
            return self.text or ""
        try:
            return base64_codec.b64decode(self.base64, validate=True)
        except binascii.Error as error:
            raise ValueError(f"base64: {error}") from None


class RestFault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What goes wrong with HTTP requests to paths like `path`.

    - `status`: `code` with `body` (JSON if it looks like it; absent: what goes with the code) and `retry_after`; `html`: a page and 200;
      `reset`: a TCP reset. The venue never sees the request.
    - `truncated`, `empty`, `empty_object`, `hang`: the request takes effect, and of its answer comes half, nothing, `{}`, or everything
      `delay` seconds later (absent: never).
    """

    kind: RestKind
    path: Annotated[str, Meta(pattern="^[/*]")]
    on: Literal["rest"] = "rest"
    method: Literal["GET", "POST", "DELETE"] | None = None
    seconds: Seconds | None = None
    times: Times | None = None
    code: Annotated[int, Meta(ge=200, le=599)] | None = None
    retry_after: Annotated[int, Meta(ge=0)] | None = None
    body: str | None = None
    delay: Seconds | None = None

    def __post_init__(self) -> None:
        _refuse_foreign_options(self, REST_OPTIONS[self.kind], ("path", "method"))
        if (self.kind == "status") != (self.code is not None):
            raise ValueError("status wants the code")


class VenueFault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The whole venue is away: its sockets are reset; requests and handshakes are reset, too, or answered 503."""

    kind: Literal["down"]
    on: Literal["venue"] = "venue"
    venue: VenueName = "binance"
    seconds: Seconds | None = None
    refuse_by: Literal["reset", "http_503"] = "reset"


Fault = OrderFault | SocketFault | RestFault | VenueFault
_SCOPES: dict[str, tuple[type[Fault], tuple[str, ...]]] = {
    "order": (OrderFault, get_args(OrderKind)),
    "socket": (SocketFault, get_args(SocketKind)),
    "rest": (RestFault, get_args(RestKind)),
    "venue": (VenueFault, ("down",)),
}


class _Scope(Struct):
    on: str = "order"


def fault_of(raw: bytes) -> Fault:
    """The fault that `raw` asks for.

    Raises:
        FaultRefused: there is no such fault.
    """
    try:
        on = msgspec.json.decode(raw, type=_Scope).on
    except msgspec.DecodeError as error:
        raise FaultRefused(f'wanted {{"on": {_either(_SCOPES)}, "kind": …}}: {error}') from None
    if on not in _SCOPES:
        raise FaultRefused(f'wanted {{"on": {_either(_SCOPES)}, "kind": …}}: there is no {on!r}')
    scope, kinds = _SCOPES[on]
    try:
        return msgspec.json.decode(raw, type=scope)
    except msgspec.DecodeError as error:
        raise FaultRefused(f'wanted {{"on": "{on}", "kind": {_either(kinds)}, …}}: {error}') from None


def is_stream_like(pattern: str, stream: str) -> bool:
    """Whether `pattern` is a part of the stream's name, or a pattern that fits it."""
    return pattern in stream or fnmatchcase(stream, pattern)


def is_path_like(pattern: str, path: str) -> bool:
    """Whether `pattern` fits the whole path."""
    return fnmatchcase(path, pattern)


def _either(choices: Iterable[str]) -> str:
    return " | ".join(f'"{choice}"' for choice in choices)


def _refuse_foreign_options(fault: Struct, allowed: frozenset[str], everywhere: tuple[str, ...]) -> None:
    for field in msgspec.structs.fields(fault):
        if field.name in ("kind", "on", *everywhere) or field.name in allowed:
            continue
        if getattr(fault, field.name) != field.default:
            kind = getattr(fault, "kind", "")
            raise ValueError(f"{kind} has no {field.name}; it takes {', '.join(sorted(allowed)) or 'nothing more'}")
