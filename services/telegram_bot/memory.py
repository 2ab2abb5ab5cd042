"""What must outlive a restart: the last update that was looked at, and which one-time codes are used up. One small file, written whole."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import structlog

from services.telegram_bot.admission import Seen
from services.telegram_bot.codes import STEP_S, Marks

_log = structlog.get_logger(__name__)


class Memory(msgspec.Struct):
    """`bot` is whose updates were seen: another bot has other numbers. No code up to the step `void_to` counts: what was used is not known."""

    bot: int = 0
    void_to: int = 0
    seen: Seen = msgspec.field(default_factory=Seen)
    marks: dict[int, Marks] = {}

    def of_bot(self, bot: int) -> None:
        """From now on it is this bot's."""
        if bot != self.bot:
            self.bot, self.seen.update_id, self.seen.at = bot, 0, 0.0


def load(path: Path, wall: float) -> Memory:
    """What was kept; nothing where there is no such file. One that cannot be read is told, and forgotten at `wall` (Unix s)."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        return Memory()
    except (OSError, msgspec.MsgspecError) as error:
        _log.warning("memory_lost", path=str(path), reason=type(error).__name__)
        return Memory(void_to=int(wall) // STEP_S + 1)


def save(path: Path, raw: bytes) -> None:
    """Keep `raw` (an encoded memory), durably.

    Raises:
        OSError: it is not kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
