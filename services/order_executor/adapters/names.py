"""Client ids by the venue's own numbers: executions name only these."""

from __future__ import annotations

NAMES_KEPT = 10_000


class OrderNames:
    """The client ids of the orders seen last."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}

    def find(self, instrument: str, venue_order_id: str) -> str | None:
        """The client id of an order, if it was seen."""
        return self._names.get((instrument, venue_order_id))

    def remember(self, instrument: str, venue_order_id: str, cl_ord_id: str) -> None:
        """An order was seen."""
        self._names[instrument, venue_order_id] = cl_ord_id
        while len(self._names) > NAMES_KEPT:
            del self._names[next(iter(self._names))]
