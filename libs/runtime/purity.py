"""Finds what a machine must not do: know the time, draw a number, touch the world, let a set decide an order.

Works on syntax alone, so it can look at code that is only planted. Whether an expression is a set is decided from what is
visible: literals, `set(...)`, set operations, names assigned or annotated as sets in the same module. A set may be asked (`in`,
`len`, `sorted`, `any`, `all`, `min`, `max` without key); whatever depends on its order is reported.

It is a rule for people who forgot, not a wall against people who do not want to: walls are processes and accounts of the bus.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

FORBIDDEN_IMPORTS = frozenset(
    {
        *("time", "random", "uuid", "os", "sys", "secrets", "asyncio", "threading", "socket", "logging", "structlog"),
        *(
            "subprocess",
            "multiprocessing",
            "concurrent",
            "signal",
            "ssl",
            "http",
            "urllib",
            "tempfile",
            "shutil",
            "pathlib",
        ),
        *(
            "importlib",
            "platform",
            "locale",
            "weakref",
            "gc",
            "warnings",
            "contextvars",
            "queue",
            "select",
            "selectors",
        ),
        *("ccxt", "nats", "aiohttp", "sqlalchemy", "alembic", "psycopg", "httpx", "requests", "litellm", "aiogram"),
        *("prometheus_client", "opentelemetry", "pydantic_settings", "uvloop", "typer", "rich", "numpy"),
    }
)
FORBIDDEN_CALLS = frozenset(
    {"id", "hash", "open", "input", "print", "eval", "exec", "compile", "__import__", "breakpoint"}
)
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})
CLOCK_OWNERS = frozenset({"datetime", "date"})
SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})
ORDER_FREE = frozenset({"sorted", "len", "any", "all", "set", "frozenset", "min", "max", "isinstance", "bool"})
ORDERING = frozenset(
    {"list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter", "sum", "dict", "str", "repr", "deque"}
)
ORDERING_METHODS = frozenset({"join", "extend", "fromkeys", "writelines"})


@dataclass(frozen=True)
class Impurity:
    """One thing a machine must not do, and where."""

    module: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.what}"


def impurities(module: str, tree: ast.Module, is_package: bool = False) -> list[Impurity]:
    """Everything impure in one module."""
    found = [
        Impurity(module, line, f"imports {name}")
        for name, line in imports_of(tree, module, is_package).items()
        if name.split(".")[0] in FORBIDDEN_IMPORTS
    ]
    sets = _SetNames(tree)
    for node in ast.walk(tree):
        for what in (*_forbidden_call(node), *_unordered_use(node, sets)):
            found.append(Impurity(module, getattr(node, "lineno", 0), what))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append(Impurity(module, node.lineno, "is asynchronous"))
    return sorted(set(found), key=lambda each: (each.module, each.line, each.what))


def _forbidden_call(node: ast.AST) -> list[str]:
    if not isinstance(node, ast.Call):
        return []
    match node.func:
        case ast.Name(id=name) if name in FORBIDDEN_CALLS:
            return [f"calls {name}()"]
        case ast.Attribute(value=owner, attr=method) if method in CLOCK_METHODS and _last_name(owner) in CLOCK_OWNERS:
            return [f"reads the clock by {_last_name(owner)}.{method}()"]
    return []


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _SetNames:
    """Which names and attributes of a module hold sets, as far as assignments and annotations show."""

    def __init__(self, tree: ast.Module):
        self.names: set[str] = set()
        size = -1
        while size != len(self.names):  # a name assigned from another name's set is a set, too
            size = len(self.names)
            for node in ast.walk(tree):
                self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value) if self.is_set(value):
                self.names |= {_last_name(target) for target in targets if isinstance(target, ast.Name | ast.Attribute)}
            case ast.AnnAssign(target=target, annotation=annotation) if _says_set(annotation):
                self.names.add(_last_name(target))
            case ast.arg(arg=name, annotation=annotation) if annotation is not None and _says_set(annotation):
                self.names.add(name)
            case ast.FunctionDef(name=name, returns=returns) if returns is not None and _says_set(returns):
                self.names.add(f"{name}()")
            case ast.NamedExpr(target=ast.Name(id=name), value=value) if self.is_set(value):
                self.names.add(name)

    def is_set(self, node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name() | ast.Attribute():
                return _last_name(node) in self.names
            case ast.Call(func=ast.Name(id="set" | "frozenset")):
                return True
            case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in SET_METHODS | {"copy"}:
                return self.is_set(owner)
            case ast.Call(func=callee):
                return f"{_last_name(callee)}()" in self.names
            case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
                return any(self.is_set(side) or _is_keys(side) for side in (left, right))
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_set(body) or self.is_set(orelse)
            case ast.BoolOp(values=values):
                return any(self.is_set(value) for value in values)
        return False


def _is_keys(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")


def _says_set(annotation: ast.expr) -> bool:
    match annotation:
        case ast.BinOp(left=left, right=right):
            return _says_set(left) or _says_set(right)
        case ast.Constant(value=str(text)):
            return _says_set(ast.parse(text, mode="eval").body)
        case ast.Subscript(value=value):
            return _last_name(value) in ("set", "frozenset", "Set", "AbstractSet", "FrozenSet")
    return _last_name(annotation) in ("set", "frozenset", "Set", "AbstractSet", "FrozenSet")


def _unordered_use(node: ast.AST, sets: _SetNames) -> list[str]:
    match node:
        case ast.For(iter=source) if sets.is_set(source):
            return ["iterates over a set"]
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp() if not getattr(node, "order_free", False):
            return ["iterates over a set"] if any(sets.is_set(each.iter) for each in node.generators) else []
        case ast.Call():
            return _unordered_call(node, sets)
        case ast.List(elts=elements) | ast.Tuple(elts=elements) if isinstance(getattr(node, "ctx", None), ast.Load):
            starred = [each for each in elements if isinstance(each, ast.Starred) and sets.is_set(each.value)]
            return ["unpacks a set in its order"] if starred else []
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=value) if sets.is_set(value):
            return ["unpacks a set in its order"]
        case ast.FormattedValue(value=value) if sets.is_set(value):
            return ["shows a set in its order"]
        case ast.YieldFrom(value=value) if sets.is_set(value):
            return ["iterates over a set"]
    return []


def _unordered_call(node: ast.Call, sets: _SetNames) -> list[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    given_sets = [arg for arg in node.args if sets.is_set(arg.value if isinstance(arg, ast.Starred) else arg)]
    by_key = any(keyword.arg == "key" for keyword in node.keywords)
    if name in ORDER_FREE and not (by_key and name in ("min", "max")):
        for arg in node.args:  # ast.walk goes down from here, so the mark is seen before the argument is
            if isinstance(arg, ast.GeneratorExp | ast.ListComp) and not by_key:
                arg.order_free = True  # type: ignore[union-attr]
        return []
    if given_sets and (name in ORDERING or method in ORDERING_METHODS or name in ("min", "max")):
        return [f"gives a set's order to {name or method}()"]
    if any(isinstance(arg, ast.Starred) for arg in given_sets):
        return ["unpacks a set in its order"]
    if method == "pop" and not node.args and isinstance(node.func, ast.Attribute) and sets.is_set(node.func.value):
        return ["takes whichever element of a set comes first"]
    return []


# --- imports ------------------------------------------------------------------------------------------------------


def imports_of(tree: ast.Module, module: str, is_package: bool = False) -> dict[str, int]:
    """The dotted names a module imports when it runs, with the line: `from a import b` gives `a` and `a.b`."""
    found: dict[str, int] = {}
    for node in _running_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            found.setdefault(base, node.lineno)
            for alias in node.names:
                found.setdefault(f"{base}.{alias.name}", node.lineno)
    return found


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    around = module.split(".")
    around = around[: len(around) - node.level + (1 if is_package else 0)]
    return ".".join([*around, *([node.module] if node.module else [])])


def _running_nodes(tree: ast.AST) -> list[ast.AST]:
    """Every node except those under `if TYPE_CHECKING:`, which never run."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return found
