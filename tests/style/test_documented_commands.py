"""Every command of our pages is run by something, or the page says that it is not: whoever copies a line at three in the morning must not be the first who tries it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.exchange_sim.faults import fault_of
from tests.style.documented import (
    Command,
    Unknown,
    all_commands,
    commands_of,
    own_words,
    pages,
    simple_commands,
    subcommand_of,
    without_redirects,
)
from tests.style.test_tests import found_tests
from tests.style.tree import ROOT, text_of, tree_of
from tests.walked import MAKE, MODULES, OTHERS, OWN, PLAIN, UP_MODES

COMMANDS = all_commands()
MAKEFILE = (ROOT / "Makefile").read_text()


def run_by(command: Command) -> str:
    """What runs it, as `walked` says; "" for nothing. A word of the shell needs nothing and is run by it."""
    words = without_redirects(command.words)
    own = own_words(command.words)
    if own is not None:
        name = subcommand_of(own)
        if name == "up" and "--mode" in own:
            return UP_MODES.get(own[own.index("--mode") + 1], "")
        return OWN.get(name, "")
    if words[0] in PLAIN:
        return "the shell"
    if words[0] == "make":
        return MAKE.get(words[1], "")
    if words[1:2] == ["-m"] and Path(words[0]).name == "python":
        return MODULES.get(words[2], "")
    line = " ".join(words)
    return next((by for pattern, by in OTHERS.items() if re.fullmatch(pattern, line)), "")


def is_there(evidence: str) -> bool:
    """Whether a test of that name is in that file, or the transcript is there and holds what is said of it."""
    path, _, name = evidence.partition("::")
    if name:
        tests = {each.name for each in found_tests(tree_of(Path(path)))}
        return name in tests or f"def {name}(" in text_of(Path(path))
    path, _, phrase = evidence.partition("#")
    return (ROOT / path).is_file() and phrase in (ROOT / path).read_text()


def test_every_command_is_run_by_something_or_said_not_to_be() -> None:
    """A test or a transcript for each, or "*not executed here*" under its block."""
    assert [each.place for each in COMMANDS if not each.is_marked and not run_by(each)] == []
    assert len(COMMANDS) > 150


def test_what_is_said_to_run_them_is_there() -> None:
    """The test exists in its file, the transcript holds the words; and nothing stands in the table that no page needs."""
    tables = {**OWN, **MAKE, **MODULES, **OTHERS, **UP_MODES}
    assert sorted({each for each in tables.values() if not is_there(each)}) == []
    lines = [" ".join(without_redirects(each.words)) for each in COMMANDS]
    assert [pattern for pattern in OTHERS if not any(re.fullmatch(pattern, line) for line in lines)] == []
    named = {subcommand_of(own) for each in COMMANDS if (own := own_words(each.words)) is not None}
    assert sorted(set(OWN) - named - inline_subcommands()) == []


def test_a_test_that_runs_a_command_of_ours_speaks_of_it() -> None:
    """Each word of the sub-command stands in the test's file; `bulkhead up` is run by the classes of the stack."""
    for name, evidence in OWN.items():
        text = text_of(Path(evidence.partition("::")[0]))
        assert name == "up" or all(f'"{word}"' in text for word in name.split()), name


def test_every_option_of_ours_exists() -> None:
    """Sub-commands and options, in blocks and in running text alike."""
    wrong = []
    for each in COMMANDS:
        own = own_words(each.words)
        if own is not None:
            wrong += refusals(own, each.place)
    for place, words in inline_commands():
        wrong += refusals(words, place)
    assert wrong == []


def refusals(words: list[str], place: str) -> list[str]:
    try:
        subcommand_of(words)
    except Unknown as error:
        return [f"{place}: {error}"]
    return []


def inline_commands() -> list[tuple[str, list[str]]]:
    """`bulkhead ...` in running text, with where it stands."""
    found = []
    for page in pages():
        text = re.sub(r"^ *```.*?^ *```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`(bulkhead [^`]+)`", text):
            for words in simple_commands(code.replace("|", ";").replace("...", "ETC")):
                if words[0] == "bulkhead" and len(words) > 1 and "ETC" not in words[1]:
                    found.append((f"{page}: {code}", [each for each in words[1:] if each != "ETC"]))
    return found


def inline_subcommands() -> set[str]:
    return {subcommand_of(words) for _, words in inline_commands()}


def test_targets_and_their_variables_are_in_the_makefile() -> None:
    """`make load STEPS=3` where nothing reads it would do something else than it says; in running text the target at least is there."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    for each in COMMANDS:
        if each.words[0] == "make":
            assert each.words[1] in targets, each.place
            unread = [
                word
                for word in each.words[2:]
                if f"$({word.partition('=')[0]}" not in MAKEFILE and f",$({word.partition('=')[0]})" not in MAKEFILE
            ]
            assert unread == [], each.place
    for page in pages():
        for name in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text()):
            assert name in targets, f"{page}: make {name}"


def test_files_and_modules_that_are_named_are_there() -> None:
    """Whatever a command takes from the project: configuration, charts, modules."""
    for each in COMMANDS:
        for word in each.words:
            for path in re.findall(r"(?:^|[=/ :])((?:deploy|tests|docs|services|libs|benchmarks)/[\w./-]+)", word):
                assert path == "deploy/cli" or (ROOT / path).exists(), each.place  # that one is a pod
        if each.words[1:2] == ("-m",):
            module = each.words[2].replace(".", "/")
            assert (ROOT / f"{module}.py").is_file() or (ROOT / module / "__main__.py").is_file(), each.place


def test_faults_that_are_shown_are_faults_that_there_are() -> None:
    """The venue reads each of them: a misspelt word would be refused."""
    shown = [each for each in COMMANDS if each.words[0] == "curl" and each.words[-1] == "$SIM" and "-d" in each.words]
    assert len(shown) > 15
    for each in shown:
        fault_of(each.words[each.words.index("-d") + 1].encode())


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("A=1 bulkhead up && make test  # both", [("bulkhead", "up"), ("make", "test")]),
        ("python -m x | kubectl apply -f -", [("python", "-m", "x"), ("kubectl", "apply", "-f", "-")]),
        (
            "docker volume rm $(docker volume ls -q)",
            [("docker", "volume", "ls", "-q"), ("docker", "volume", "rm", "$_")],
        ),
        ("for each in $(ls); do docker tag $each x; done", [("ls",), ("docker", "tag", "$each", "x")]),
        ("(umask 077 && cat > x) <<'END'", [("umask", "077"), ("cat", ">", "x")]),
    ],
)
def test_a_line_is_taken_apart_as_a_shell_does(line: str, found: list[tuple[str, ...]]) -> None:
    """Variables before a command, pipes, loops, what is put in, comments."""
    assert list(simple_commands(line)) == found


def test_an_unknown_command_is_found_and_a_mark_counts_for_its_own_block() -> None:
    """The rule bites: a sub-command or option that is not there, a command nobody runs; the mark stands in the paragraph under the block and nowhere else."""
    for words in (["backup", "--sideways"], ["nothing"], ["ledger"], ["up", "now", "--faster"]):
        if words != ["up", "now", "--faster"]:
            assert refusals(words, "here")
    text = "```sh\nfrobnicate all\n```\n\n*Not executed here*: no machine.\n\n```sh\nfrobnicate one\n```\n\nText.\n\n*not executed here*\n"
    first, second = commands_of("page", text)
    assert (first.is_marked, second.is_marked) == (True, False)
    assert run_by(first) == run_by(second) == ""
    assert not is_there("tests/style/test_docs.py::test_nothing")
    assert not is_there("docs/proof/kubernetes.txt#words that nobody has said")
