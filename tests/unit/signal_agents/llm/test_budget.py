"""What may be spent is paid before the call, and no death of the process gives any of it back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from services.signal_agents.llm.adapters.budget import DAY_NS, NAME, Caps, Prices, SpendBook, SpendBroken
from tests.unit.signal_agents.llm.asking import Parrot, adapter, asked, failed, said, settings
from tests.unit.signal_agents.llm.cases import BAR_END, plain_case

CAPS = Caps(call=Decimal("0.10"), day=Decimal("0.25"))
PRICES = Prices(usd_in=Decimal(1), usd_out=Decimal(10))
NOW = BAR_END
CENT = Decimal("0.01")


def test_the_worst_case_is_set_aside_and_settled_with_what_it_was(tmp_path: Path) -> None:
    """Until a call has answered it counts in full."""
    book = SpendBook(tmp_path, CAPS)
    assert book.reserve("a", 10 * CENT, NOW) == ""
    assert book.spent(NOW) == 10 * CENT
    book.settle("a", CENT)
    assert book.spent(NOW) == CENT


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    """A call too dear, and a day that is spent, reservations included."""
    book = SpendBook(tmp_path, CAPS)
    assert "at most 0.10" in book.reserve("dear", 11 * CENT, NOW)
    assert book.reserve("a", 10 * CENT, NOW) == book.reserve("b", 10 * CENT, NOW) == ""
    assert "of 0.25 are spent" in book.reserve("c", 6 * CENT, NOW)
    book.settle("b", CENT)
    assert book.reserve("c", 6 * CENT, NOW) == ""


def test_a_new_day_begins_with_nothing_spent(tmp_path: Path) -> None:
    """And a call of yesterday that answers today is yesterday's."""
    book = SpendBook(tmp_path, CAPS)
    book.reserve("a", 10 * CENT, NOW)
    tomorrow = (NOW // DAY_NS + 1) * DAY_NS
    assert book.spent(tomorrow) == 0
    assert book.reserve("b", CENT, tomorrow) == ""
    book.settle("a", 10 * CENT)
    assert book.spent(tomorrow) == CENT


def test_a_clock_that_was_set_back_gives_nothing_back(tmp_path: Path) -> None:
    """Yesterday, seen from today, is still today."""
    book = SpendBook(tmp_path, CAPS)
    book.reserve("a", 10 * CENT, NOW)
    assert book.spent(NOW - 3 * DAY_NS) == 10 * CENT
    assert book.reserve("b", 10 * CENT, NOW - 3 * DAY_NS) == ""
    assert "are spent" in book.reserve("c", 10 * CENT, NOW)


def test_a_call_that_is_repeated_is_paid_twice(tmp_path: Path) -> None:
    """An interrupted call that is asked again may have been billed both times."""
    book = SpendBook(tmp_path, CAPS)
    book.reserve("a", 10 * CENT, NOW)
    book.reserve("a", 10 * CENT, NOW)
    assert SpendBook(tmp_path, CAPS).spent(NOW) == 20 * CENT


@bounded(max_examples=25, deadline=None)  # each step is synced
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.integers(0, 12), st.booleans(), st.booleans()),
        max_size=10,
    )
)
def test_no_story_spends_more_than_the_day_allows(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, int, int, bool, bool]]
) -> None:
    """Reservations, answers and deaths in any order: what was let out never costs more than the cap, if no call costs more than its worst."""
    folder = tmp_path_factory.mktemp("spend")
    book, let_out = SpendBook(folder, CAPS), Decimal(0)
    for call, worst, cost, answers, dies in story:
        if book.reserve(call, worst * CENT, NOW) == "":
            let_out += min(cost, worst) * CENT
            if answers:
                book.settle(call, min(cost, worst) * CENT)
        if dies:
            book = SpendBook(folder, CAPS)
        assert let_out <= book.spent(NOW) <= CAPS.day


@pytest.mark.parametrize(
    "content",
    ["", "{", '{"day":1,"spent":"NaN","reserved":{}}', '{"day":1,"spent":"-5","reserved":{}}', "[]", '{"day":1}'],
)
def test_a_file_somebody_changed_stops_the_agent(tmp_path: Path, content: str) -> None:
    """What was spent is not known, so nothing may be."""
    (tmp_path / NAME).write_text(content)
    with pytest.raises(SpendBroken, match=NAME):
        SpendBook(tmp_path, CAPS)


def test_what_cannot_be_written_is_not_spent(tmp_path: Path) -> None:
    """A disk that takes nothing lets no call out, and an answer that cannot be settled has cost its worst case."""
    book = SpendBook(tmp_path / "spend", CAPS)
    assert book.reserve("a", 10 * CENT, NOW) == ""
    draft = tmp_path / "spend" / f"{NAME}.draft"
    draft.mkdir()
    assert "cannot be written" in book.reserve("b", CENT, NOW)
    book.settle("a", CENT)
    assert book.spent(NOW) == SpendBook(tmp_path / "spend", CAPS).spent(NOW) == 10 * CENT


def test_the_worst_case_is_never_below_what_is_billed() -> None:
    """A token is at least a byte, so a question has no more tokens than bytes."""
    assert PRICES.worst("ä" * 100, 300) == PRICES.cost(264, 300)
    assert PRICES.cost(1_000_000, 1_000_000) == 11


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.unit.signal_agents.llm.asking import adapter, asked

class Silent:
    async def open(self): ...
    async def close(self): ...
    async def ask(self, request, deadline_s):
        print("asked", flush=True)
        await asyncio.sleep(60)

async def main():
    async with adapter(Path(sys.argv[1]), Silent(), llm_usd_per_day_max="0.008") as perform:
        await perform(asked())

asyncio.run(main())
"""


def test_a_kill_in_the_middle_of_a_call_does_not_refill_the_purse(tmp_path: Path) -> None:
    """kill -9 while the model is being asked: the next life counts that call as spent, and asks nobody for the rest of the day."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=env, stdout=subprocess.PIPE, text=True
    ) as life:
        assert life.stdout is not None
        assert life.stdout.readline() == "asked\n"
        os.kill(life.pid, signal.SIGKILL)
    parrot = Parrot([said(plain_case())])

    async def live_again() -> Any:
        async with adapter(tmp_path, parrot, llm_usd_per_day_max=Decimal("0.008")) as perform:
            return await perform(asked())

    answer = asyncio.run(live_again())
    assert (answer.outcome, answer.failure, answer.cost_usd) == ("FAILED", "budget", 0)
    assert parrot.asked == []


async def test_a_bill_nobody_sent_is_the_worst_case(tmp_path: Path) -> None:
    """Told tokens are what they cost; a call without them costs all it could; a refused one and one that never left cost nothing."""
    case = plain_case()
    worst = PRICES.worst(asked(case).request.question.request, 300)  # type: ignore[attr-defined]
    unbilled = said(case).__class__(failure=None, sent=True, status=200, text=said(case).text)
    replies = [
        (said(case), Decimal("0.002")),
        (unbilled, worst),
        (failed("timeout"), worst),
        (failed("overloaded", status=500), worst),
        (failed("bad_request", status=404), Decimal(0)),
        (failed("connect", sent=False), Decimal(0)),
    ]
    costs = []
    for number, (reply, _) in enumerate(replies):
        async with adapter(tmp_path / str(number), Parrot([reply])) as perform:
            costs.append((await perform(asked(case))).cost_usd)
    assert costs == [cost for _, cost in replies]


def test_the_file_is_in_the_state_folder_of_the_agent(tmp_path: Path) -> None:
    """Beside everything else that must survive."""
    assert settings(tmp_path).home == tmp_path
    SpendBook(tmp_path / "agent-llm", CAPS).reserve("a", CENT, NOW)
    assert (tmp_path / "agent-llm" / NAME).exists()
