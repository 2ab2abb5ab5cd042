"""What may be spent on a model: paid before the call leaves, settled when it has answered, on disk before either counts.

    reserve the worst case ──▶ file ──▶ the call leaves ──▶ settle what it cost ──▶ file
                                            └── killed here: the next life finds the reservation, and counts it as spent

A day is a day of UTC on the wall clock, whatever time the market has: what a provider bills does not run at SPEED. A clock that was set back gives nothing
back. What cannot be written is not spent.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import msgspec

from libs.common.money import ZERO, plain

NAME = "model_spend.json"
DAY_NS = 86_400_000_000_000
_MILLION = Decimal(1_000_000)


class SpendBroken(Exception):
    """The file is not one of ours any more: somebody changed it, and a person must say what was spent."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """USD for a million tokens, read and written."""

    usd_in: Decimal
    usd_out: Decimal

    def cost(self, tokens_in: int, tokens_out: int) -> Decimal:
        """What so many tokens cost."""
        return plain((tokens_in * self.usd_in + tokens_out * self.usd_out) / _MILLION)

    def worst(self, request: str, answer_tokens_max: int) -> Decimal:
        """What a call can cost at most: no token is shorter than a byte, and some are the server's own."""
        return self.cost(len(request.encode()) + 64, answer_tokens_max)


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """USD, a call and a day."""

    call: Decimal
    day: Decimal


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    """The file: `spent` on `day` (days since 1970), and what is reserved for calls that have not been settled."""

    day: int
    spent: Decimal
    reserved: dict[str, Decimal]


class SpendBook:
    """The spending of one agent, in `folder`.

    Raises:
        SpendBroken
    """

    def __init__(self, folder: Path, caps: Caps):
        self._path = folder / NAME
        self._caps = caps
        self._page = self._read()

    def spent(self, now: int) -> Decimal:
        """Spent or reserved today, USD."""
        page = self._page
        return page.spent + sum(page.reserved.values(), ZERO) if now // DAY_NS <= page.day else ZERO

    def reserve(self, call_id: str, worst: Decimal, now: int) -> str:
        """Set `worst` aside for a call; on disk when this returns empty, else what stands against it."""
        if worst > self._caps.call:
            return f"a call may cost {worst} USD, at most {self._caps.call} are allowed"
        spent = self.spent(now)
        if spent + worst > self._caps.day:
            return f"{spent} USD of {self._caps.day} are spent today, and this may cost {worst}"
        page = self._page
        is_new_day = now // DAY_NS > page.day
        reserved = {} if is_new_day else dict(page.reserved)
        unsettled = reserved.get(call_id, ZERO)  # asked again under the same id: nobody will settle the first one
        reserved[call_id] = worst
        new = _Page(max(now // DAY_NS, page.day), ZERO if is_new_day else page.spent + unsettled, reserved)
        try:
            self._write(new)
        except OSError as error:
            return f"{self._path} cannot be written: {error.strerror}"
        self._page = new
        return ""

    def settle(self, call_id: str, cost: Decimal) -> None:
        """The call has cost this; of a call of a former day nothing is noted, for its day is over."""
        reserved = dict(self._page.reserved)
        if reserved.pop(call_id, None) is None:
            return
        new = _Page(self._page.day, plain(self._page.spent + cost), reserved)
        try:
            self._write(new)
        except OSError:
            return  # then it has cost what was reserved
        self._page = new

    def _read(self) -> _Page:
        if not self._path.exists():
            return _Page(0, ZERO, {})
        try:
            page = msgspec.json.decode(self._path.read_bytes(), type=_Page)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SpendBroken(f"{self._path}: {error}; if you know that nothing is owed, remove it") from None
        amounts = (page.spent, *page.reserved.values())
        if not all(each.is_finite() and each >= 0 for each in amounts):
            raise SpendBroken(f"{self._path}: an amount is not one; if you know that nothing is owed, remove it")
        return _Page(page.day, sum(amounts, ZERO), {})

    def _write(self, page: _Page) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_name(f"{NAME}.draft")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(page))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
