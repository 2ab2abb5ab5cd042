"""The commands of our pages: every line of a shell block, with where it stands and whether the page says that it was not executed here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from typer.main import get_command

from services.cli.app import app
from tests.style.tree import ROOT, files

MARK = re.compile(r"\*not executed here\*", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=.*", re.DOTALL)
_INNER = re.compile(r"\$\(([^()]*)\)")
_REDIRECT = re.compile(r"\d?>>?|<<?|<\(")


class Command(NamedTuple):
    """One command of a page: its words without variables before it and what it is redirected to; `line` is the whole line as it stands there."""

    page: str
    number: int
    words: tuple[str, ...]
    line: str
    is_marked: bool

    @property
    def place(self) -> str:
        """Where it stands, for a finding."""
        return f"{self.page}:{self.number}: {self.line}"


WRITTEN_WHILE_RUN = Path("docs/security-audit.md")
"""`make audit` writes it from the very commands that stand in it."""


def pages() -> list[Path]:
    """README, every page of docs, every runbook; decisions and proofs tell of the past."""
    return [
        path
        for path in files()
        if path != WRITTEN_WHILE_RUN
        and path.suffix == ".md"
        and (path == Path("README.md") or path.parent in (Path("docs"), Path("docs/runbooks")))
    ]


def commands_of(page: str, text: str) -> Iterator[Command]:
    """Every command of its blocks of `sh` and `console`, and of unnamed blocks whose lines begin with a dollar."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = re.fullmatch(r"\s*```(\w*)", lines[number])
        number += 1
        if fence is None:
            continue
        begin = number
        while number < len(lines) and lines[number].strip() != "```":
            number += 1
        marked = _is_marked(lines[number + 1 :])
        if fence[1] in ("sh", "console", ""):
            yield from _in_block(page, begin, lines[begin:number], fence[1] == "sh", marked)
        number += 1


def _is_marked(after: list[str]) -> bool:
    """Whether the paragraph that follows says so, or begins to."""
    paragraph = "\n".join(after).strip("\n").partition("\n\n")[0]
    return not paragraph.lstrip().startswith(("```", "#")) and MARK.search(paragraph) is not None


def _in_block(page: str, begin: int, block: list[str], is_shell: bool, marked: bool) -> Iterator[Command]:
    place, end_of_text = 0, ""
    while place < len(block):
        number, line = begin + place + 1, block[place].strip()
        place += 1
        if end_of_text:
            end_of_text = "" if line == end_of_text else end_of_text
            continue
        if not is_shell and not line.startswith("$ "):
            continue
        line = line.removeprefix("$ ")
        while line.endswith("\\") and place < len(block):
            line = line[:-1] + block[place].strip()
            place += 1
        here = re.search(r"<<\s*'?(\w+)'?", line)
        end_of_text = here[1] if here else ""
        for words in simple_commands(line):
            yield Command(page, number, words, line, marked)


def simple_commands(line: str) -> Iterator[tuple[str, ...]]:
    """A line as a shell takes it apart, as far as our pages need it."""
    for inner in _INNER.findall(line):
        yield from simple_commands(inner)
    lexer = shlex.shlex(_INNER.sub("$_", line), posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found: list[str] = []
    for word in [*lexer, ";"]:
        if word.strip("|&;()<>") == "" and not _REDIRECT.fullmatch(word):
            while found and (_ASSIGNMENT.fullmatch(found[0]) or found[0] in ("exec", "do", "done")):
                found.pop(0)
            if found and found[0] != "for" and without_redirects(tuple(found)):
                yield tuple(found)
            found = []
        else:
            found.append(word)


def without_redirects(words: tuple[str, ...]) -> list[str]:
    """The words that the program itself is given."""
    found: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif _REDIRECT.fullmatch(word):
            skip = True
        else:
            found.append(word)
    return found


# --- our own command -------------------------------------------------------------------------------------------------


@cache
def _root() -> Any:
    return get_command(app)


class Unknown(Exception):
    """Our command knows no such sub-command or option."""


def subcommand_of(words: list[str]) -> str:
    """Which sub-command the words after `bulkhead` are, `backup verify`.

    Raises:
        Unknown: there is none, or not with such an option.
    """
    command, path, place = _root(), [], 0
    options = _options(command)
    while place < len(words):
        word = words[place]
        place += 1
        if word.startswith("-") and word != "-":
            name = word.partition("=")[0]
            if name in ("--help", "-h"):
                continue
            if name not in options:
                raise Unknown(f"`{' '.join(path) or 'bulkhead'}` has no {name}")
            if not options[name] and "=" not in word:
                place += 1
        elif word in getattr(command, "commands", {}):
            command = command.commands[word]
            options = _options(command)
            path.append(word)
        elif hasattr(command, "commands"):
            raise Unknown(f"`{' '.join(path) or 'bulkhead'}` has no {word}")
    if hasattr(command, "commands") and not command.invoke_without_command:
        raise Unknown(f"`{' '.join(path) or 'bulkhead'}` alone does nothing")
    return " ".join(path)


def _options(command: Any) -> dict[str, bool]:
    """Every option of a command by name, and whether it takes no value."""
    return {
        name: each.is_flag
        for each in command.params
        for name in each.opts + each.secondary_opts
        if hasattr(each, "is_flag")
    }


def own_words(words: tuple[str, ...]) -> list[str] | None:
    """What follows `bulkhead`, however it is called: directly, in a container, in a pod; None: it is another command."""
    given = without_redirects(words)
    if not given:
        return None
    if Path(given[0]).name == "bulkhead" and given[0] in ("bulkhead", ".venv/bin/bulkhead"):
        return given[1:]
    for way in (
        ["docker", "compose", "run", "--rm", "cli"],
        ["kubectl", "--namespace", "book", "exec", "deploy/cli", "--", "python", "/app/run.py"],
    ):
        if given[: len(way)] == way:
            return given[len(way) :]
    return None


def all_commands() -> list[Command]:
    """Of all pages."""
    return [each for page in pages() for each in commands_of(str(page), (ROOT / page).read_text())]
