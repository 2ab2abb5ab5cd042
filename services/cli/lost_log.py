"""A log that is shorter than it has been has lost acknowledged events; nothing may be made or written in its place.

The services keep watermarks of how long it was (libs.runtime.snapshots), in another folder than the bus keeps the log itself.
"""

from __future__ import annotations

from pathlib import Path

from nats.aio.client import Client

from libs.runtime.rolling import length_of
from libs.runtime.snapshots import SnapshotFolder
from libs.runtime.stream_api import ProvisionError
from libs.runtime.streams import TRADING
from services.cli.stack_keys import StackError

UNFINISHED = "RESTORE_UNFINISHED"
"""The file that says of a state folder that a restore into it has begun and not ended."""


async def refuse_lost_log(client: Client, home: Path) -> None:
    """Return when the bus holds all that any service has seen of the log, and no restore was ended half-way.

    Raises:
        StackError: it does not, or does not answer.
    """
    if (home / UNFINISHED).exists():
        raise StackError(
            f"{home} holds half a book: a restore into it was ended before it was whole ({UNFINISHED} says so). Remove the folder, and restore"
            " again into an empty one"
        )
    seq, path = max(((_watermark(path), path) for path in (home / "snapshots").glob("*.watermark")), default=(0, home))
    if not seq:
        return
    try:
        length = await length_of(client)
    except ProvisionError as error:
        raise StackError(f"the bus does not say how long the log is: {error}; see logs/nats.log") from error
    if length < seq:
        raise StackError(
            f"events are lost: the log {TRADING} held {seq} ({path} says so), the bus has {length}. Nothing was changed."
            f" Bring it back from a backup (`bulkhead restore`, docs/BACKUP_RECOVERY.md); or move {home} away to begin a new book, which knows nothing of the"
            " orders and positions of this one"
        )


def _watermark(path: Path) -> int:
    try:
        return SnapshotFolder(path.parent.parent, path.stem).watermark(TRADING)
    except ValueError:  # includes bytes that are no text
        raise StackError(f"{path} is not a watermark; delete it, the service writes a new one") from None
