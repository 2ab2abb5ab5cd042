"""What Compose itself may be told stands on the page of variables, and a variable that nobody explains does not get into the file unnoticed."""

from __future__ import annotations

import re
import runpy

import pytest

from tests.style.tree import ROOT

rows = runpy.run_path(str(ROOT / "docs" / "environment.py"))["compose_rows"]


def test_every_variable_of_the_compose_file_is_explained() -> None:
    """Each has a row with its default, and every one has a default: the file is valid with nothing said."""
    text = (ROOT / "docker-compose.yml").read_text()
    page = (ROOT / "docs" / "ENVIRONMENT_VARIABLES.md").read_text()
    for name, rest in re.findall(r"\$\{([A-Z_]+)([^}]*)\}", text):
        assert rest.startswith(":-"), name
        assert f"| `{name}` | `{rest[2:]}` |" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [("image: ${NEW:-x}", "without a meaning.*NEW"), ("a: ${MODE:-sim}\nb: ${MODE:-paper}", "two defaults.*MODE")],
)
def test_a_variable_without_a_meaning_or_with_two_defaults_is_refused(text: str, said: str) -> None:
    """`make docs` says which."""
    with pytest.raises(ValueError, match=said):
        rows(text)
