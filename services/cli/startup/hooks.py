"""Finds what an environment runs by itself, by reading files alone: nothing of the environment is started or imported, so what is planted in it does not run.

An interpreter that starts runs, before the first line of ours:

1. every line beginning with `import` in a `*.pth` file beside the packages (also under `python -I`); other lines lengthen the search path, from which 2 is
   then taken. From Python 3.15 on also what a `*.start` file names;
2. the modules `sitecustomize` and `usercustomize`, from wherever the search path has them first: the interpreter's own library, the packages, `PYTHONPATH`;
3. what those import: the files behind a hook are looked at as well (`BEHIND`), or the hook could stay as it is while they change.

And a program that starts may run more: a distribution can enter itself under a name that others load (`entry_points.txt`). pytest loads all of `pytest11`,
pydantic every `pydantic`, OpenTelemetry its own, a build all of setuptools'. Who did so is looked at, too.

Only the standard library is imported here, because this runs before, and instead of, what it judges.
"""

import ast
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

CUSTOMISING = ("sitecustomize", "usercustomize")
BEHIND = ("_distutils_hack/__init__.py", "__editable___bulkhead_*_finder.py")
"""Modules that are imported by a reviewed `.pth` file, whatever the environment's variables say."""
WITHOUT_EFFECT = ("console_scripts", "gui_scripts", "bulkhead.agents")
"""Entry points that run only when a person calls them by name, or names them in the settings of an agent."""
MAPPED = ("MAPPING", "NAMESPACES")
OURS = ("libs", "services")
OUTSIDE = "# leads outside of the project: "

_VERSION = re.compile(r"(bulkhead[-_])\d+[._]\d+[._]\w+?(?=\.pth|\.finder|_finder|\.dist-info|'|$)")


class Hook(NamedTuple):
    """Something that runs by itself. `kind`: `pth`, `start`, `module`, `behind`, `plugin`, `setting`.

    `digest` is the SHA-256 of its text, without our own version and the project's place. `is_ours`: it lies in the environment that was asked about, not in the interpreter that this one was made from.
    """

    kind: str
    name: str
    owner: str
    digest: str
    path: str
    is_ours: bool = True
    text: str = ""


def found_in(prefix: Path, root: Path, search_path: Iterable[Path] = ()) -> list[Hook]:
    """Everything that runs by itself in the environment at `prefix`, whose editable install of `root` is expected.

    `search_path` are further folders from which its interpreter imports (PYTHONPATH).

    Raises:
        FileNotFoundError: no environment is there.
    """
    settings = _settings(prefix)
    folders = _site_folders(prefix)
    if not folders:
        raise FileNotFoundError(f"{prefix} holds no packages: it is no Python environment")
    hooks = [each for folder in folders for each in _in_site(folder, root)]
    hooks += [each for folder in search_path for each in _customising(folder, True)]
    if settings is None:
        return hooks + [each for folder in _libraries(prefix) for each in _customising(folder, True)]
    if settings.get("include-system-site-packages", "false").lower() != "false":
        line = "include-system-site-packages = true"
        hooks.append(Hook("setting", line, "", digest_of(line), str(prefix / "pyvenv.cfg"), text=line))
    base = Path(settings.get("home", "")).parent
    return hooks + [each for folder in _libraries(base) for each in _customising(folder, False)]


def digest_of(text: str) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _settings(prefix: Path) -> dict[str, str] | None:
    """What `pyvenv.cfg` says; None where there is none: an interpreter's own environment."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    return {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def _site_folders(prefix: Path) -> list[Path]:
    """Where packages lie. Two names of one folder count once."""
    found = [*prefix.glob("lib*/python3*/site-packages"), *prefix.glob("lib*/python3*/dist-packages")]
    found += [*prefix.glob("lib/python3/dist-packages"), *prefix.glob("local/lib/python3*/dist-packages")]
    return sorted({folder.resolve() for folder in found if folder.is_dir()})


def _libraries(base: Path) -> list[Path]:
    return sorted({each.resolve() for each in base.glob("lib*/python3*") if each.is_dir()})


def _in_site(folder: Path, root: Path) -> Iterator[Hook]:
    owners: dict[str, str] = {}
    plugins = []
    for distribution in distributions(path=[str(folder)]):
        name = _name_of(distribution)
        owners |= {str(each): name for each in distribution.files or ()}
        plugins += _plugins(distribution, name)
    for suffix in ("pth", "start"):
        for path in sorted(folder.glob(f"*.{suffix}")):
            yield _hook(suffix, path, folder, owners, root)
    yield from _customising(folder, True)
    for pattern in BEHIND:
        for path in sorted(folder.glob(pattern)):
            yield _hook("behind", path, folder, owners, root)
    yield from plugins


def _hook(kind: str, path: Path, folder: Path, owners: dict[str, str], root: Path) -> Hook:
    place = path.relative_to(folder).as_posix()
    name, text = place, _text_of(path)
    if name.startswith("__editable__"):
        name, text = _VERSION.sub(r"\1<version>", name), _without_place(_VERSION.sub(r"\1<version>", text), root)
    return Hook(kind, name, owners.get(place, ""), digest_of(text), str(path), text=text)


def _text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _customising(folder: Path, is_ours: bool) -> Iterator[Hook]:
    """`sitecustomize` and `usercustomize` in any form that can be imported: source, byte code, compiled, or a package."""
    for name in CUSTOMISING:
        for path in sorted([*folder.glob(f"{name}.*"), *folder.glob(name)]):
            text = _text_of(path) if path.is_file() else "\n".join(sorted(os.listdir(path)))
            yield Hook("module", path.name, "", digest_of(text), str(path), is_ours, text)


def _name_of(distribution: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "?").lower()


def _plugins(distribution: Distribution, owner: str) -> Iterator[Hook]:
    """Each group under which a distribution has entered something that others load, with what it entered there."""
    own = {each.parts[0].split(".")[0] for each in distribution.files or ()}
    groups: dict[tuple[str, str], list[str]] = {}
    for point in distribution.entry_points:
        if point.group not in WITHOUT_EFFECT:
            whose = owner if re.split(r"[.:\[ ]", point.value)[0] in own else f"{owner}, leading elsewhere"
            groups.setdefault((point.group, whose), []).append(f"{point.name} = {point.value}")
    for (group, whose), lines in sorted(groups.items()):
        text = "\n".join(sorted(lines))
        yield Hook("plugin", group, whose, digest_of(text), owner, text=text)


def _without_place(text: str, root: Path) -> str:
    """The finder of an editable install without what its two tables hold, if they lead names of ours to folders of `root`; else with a word about it."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if line.startswith(MAPPED):
            table = line.split(":")[0]
            lines[at] = f"{table} = <the project>" if _leads_into(line, root) else f"{OUTSIDE}{line}"
    return "\n".join(lines)


def _leads_into(line: str, root: Path) -> bool:
    """Whether this is a table of nothing but our own packages and folders of `root`."""
    try:
        table = ast.literal_eval(line.partition("=")[2].strip())
        folders = {name: [each] if isinstance(each, str) else list(each) for name, each in table.items()}
    except (ValueError, SyntaxError, TypeError, AttributeError):
        return False
    return all(
        name.split(".")[0] in OURS and Path(each).is_absolute() and Path(each).resolve().is_relative_to(root.resolve())
        for name, found in folders.items()
        for each in found
    )
