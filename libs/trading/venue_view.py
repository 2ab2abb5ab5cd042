"""What can be asked of a venue's account at any time; asking changes nothing."""

from __future__ import annotations

from libs.common.messages import Balance, InstrumentSpec, VenueFill, VenueOrder
from libs.trading.venue_account import BookedOrder, VenueAccount
from libs.trading.venue_rules import INVALID_SYMBOL, NO_SUCH_ORDER, VenueRejected


class AccountView:
    """The read side of a venue; who changes the account keeps `_by_id` and `_newest` (by instrument and client id) current."""

    _specs: dict[str, InstrumentSpec]
    _account: VenueAccount
    _by_id: dict[str, BookedOrder]
    _newest: dict[tuple[str, str], BookedOrder]

    def order(self, instrument: str, cl_ord_id: str) -> VenueOrder | None:
        """The newest order that ever had this client id, open or not; None when there was none."""
        booked = self._newest.get((instrument, cl_ord_id))
        return None if booked is None else booked.as_order()

    def booked(
        self, instrument: str, cl_ord_id: str | None = None, venue_order_id: str | None = None
    ) -> BookedOrder | None:
        """The full record of an order by either id (the venue's wins), for those who show all of it."""
        if venue_order_id is not None:
            found = self._by_id.get(venue_order_id)
            return found if found is not None and found.instrument == instrument else None
        return self._newest.get((instrument, cl_ord_id or ""))

    def require(self, instrument: str, cl_ord_id: str | None = None, venue_order_id: str | None = None) -> BookedOrder:
        """`booked`, or the venue's own refusal.

        Raises:
            VenueRejected: -1121, -2013.
        """
        self._spec(instrument)
        found = self.booked(instrument, cl_ord_id, venue_order_id)
        if found is None:
            raise VenueRejected(NO_SUCH_ORDER, "Order does not exist.")
        return found

    def open_orders(self, instrument: str | None = None) -> list[VenueOrder]:
        """All orders that can still fill, oldest first."""
        return [
            booked.as_order()
            for booked in self._account.orders
            if booked.is_open and instrument in (None, booked.instrument)
        ]

    def all_orders(self) -> tuple[BookedOrder, ...]:
        """Every order there ever was, oldest first."""
        return tuple(self._account.orders)

    def fills(self, instrument: str | None = None, from_id: int = 0) -> list[VenueFill]:
        """Fills of `instrument` (None: of all) whose exec id is at least `from_id`, oldest first."""
        first = max(0, from_id - 1)  # exec ids count from 1 without gaps
        return [fill for fill in self._account.fills[first:] if instrument in (None, fill.instrument)]

    def balances(self) -> tuple[Balance, ...]:
        """What the account owns, by asset name."""
        return self._account.balances()

    def _spec(self, instrument: str) -> InstrumentSpec:
        try:
            return self._specs[instrument]
        except KeyError:
            raise VenueRejected(INVALID_SYMBOL, "Invalid symbol.") from None
