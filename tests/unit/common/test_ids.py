"""Ids follow from their causes: the same for ever, and different for different causes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import cl_ord_id_of, derive_id

PARTS = st.lists(st.text(max_size=12) | st.integers(), max_size=5)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), "cae66941d9efbd404e4d88758ea67670"),
        (("order", "i1", "ENTRY", 0), "859549ff829b25f6e4df0fe9432eb12b"),
        (("", ""), "c804ce198ec337e3dc762bdd1a09aece"),
    ],
)
def test_ids_are_the_same_for_ever(parts: tuple, expected: str) -> None:
    """An id derived today must be recognised by every later version: this is what makes a repeat a repeat."""
    assert derive_id(*parts) == expected


@given(PARTS)
def test_an_id_is_also_a_client_order_id(parts: list) -> None:
    """32 lowercase hex characters, which every venue takes."""
    assert re.fullmatch("[0-9a-f]{32}", derive_id(*parts))


@given(PARTS, PARTS)
def test_different_causes_have_different_ids(one: list, other: list) -> None:
    """Where the parts differ, however they are cut, so does the id; numbers and their texts are the same part."""
    same = [str(part) for part in one] == [str(part) for part in other]
    assert (derive_id(*one) == derive_id(*other)) is same


def test_an_intent_has_one_order_for_each_role_and_attempt() -> None:
    """Asked twice, the same id; a stop or a second attempt is another order."""
    assert cl_ord_id_of("i1", "ENTRY") == cl_ord_id_of("i1", "ENTRY", 0)
    ids = {
        cl_ord_id_of("i1", "ENTRY"),
        cl_ord_id_of("i1", "STOP"),
        cl_ord_id_of("i1", "ENTRY", 1),
        cl_ord_id_of("i2", "ENTRY"),
    }
    assert len(ids) == 4
