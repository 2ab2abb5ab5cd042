"""The end of every turn: draw the consequences of orders that closed, plan every instrument that changed, watch what has no cover."""

from __future__ import annotations

from services.order_executor import consequences, watch
from services.order_executor.protection import plan
from services.order_executor.turn import Turn


def settle_turn(turn: Turn) -> None:
    """Bring every touched instrument one step nearer to where it should be."""
    while turn.ended:
        consequences.draw(turn, turn.ended.pop(0))
    for instrument in list(turn.touched):
        plan(turn, instrument)
        watch.watch_cover(turn, instrument)
