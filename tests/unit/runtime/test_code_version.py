"""Which modules a text imports, wherever it does so."""

from __future__ import annotations

from libs.runtime.code_version import _imports_of

TEXT = """
import libs.a
try:
    import libs.b
except ImportError:
    import libs.c
else:
    import libs.d
finally:
    import libs.e
def one():
    if True:
        import libs.f
    elif False:
        import libs.g
    match 1:
        case 1:
            import libs.h
class Two:
    async def three(self):
        with open("x") as file:
            for each in file:
                from libs import i
            while False:
                import libs.j
"""


def test_an_import_counts_wherever_it_stands() -> None:
    """Code that is reached only from within a function or a branch decides as much as any other."""
    found = set(_imports_of(TEXT))
    assert {f"libs.{name}" for name in "abcdefghij"} <= found
