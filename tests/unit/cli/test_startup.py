"""What runs when an interpreter starts: everything in this environment was reviewed, and whatever else is planted in one is refused before it has run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from services.cli.doctor import check_startup
from services.cli.preflight import is_critical
from services.cli.startup.hooks import found_in
from services.cli.startup.report import ROOT, VARIABLES, judged, main, set_variables
from services.cli.startup.reviewed import HOOKS

BENIGN = "import os; os.environ.get('X')\n"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An environment without any package."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    return tmp_path / "env"


def site(prefix: Path) -> Path:
    return next(prefix.glob("lib/python3*/site-packages"))


def refused(prefix: Path, **environment: str) -> list[tuple[str, str]]:
    return [(each.kind, each.name) for each in judged(prefix, environment=environment).refused]


def distribution(folder: Path, name: str, entry_points: str = "", files: str = "") -> None:
    """As much of an installed distribution as pip leaves behind; newer interpreters do not list what is not there."""
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "RECORD").write_text(files)
    for line in files.splitlines():
        path = folder / line.partition(",")[0]
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (facts / "entry_points.txt").write_text(entry_points)


def test_this_environment_runs_only_what_was_reviewed() -> None:
    """Whatever starts by itself beside us was read by one of us, file by file; nothing that was read is missing here without a reason."""
    verdict = judged(Path(sys.prefix), environment=os.environ)
    assert verdict.refused == []
    pth = {each.name for each in verdict.hooks if each.kind == "pth"}
    assert pth >= {"a1_coverage.pth", "distutils-precedence.pth"}


def test_the_list_says_why() -> None:
    """Each reviewed hook carries a whole digest and a reason, and none stands there twice."""
    assert [each.name for each in HOOKS if not re.fullmatch(r"[0-9a-f]{64}", each.digest) or len(each.why) < 20] == []
    assert len({(each.kind, each.name, each.digest) for each in HOOKS}) == len(HOOKS)


def test_nothing_runs_by_itself_in_a_bare_environment(bare: Path) -> None:
    """Without packages there is nothing to refuse."""
    assert refused(bare) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("litellm_init.pth", BENIGN),
        ("paths.pth", "somewhere\n"),  # lengthens the path, from which sitecustomize is taken next
        ("late.start", "somewhere:main\n"),
        ("sitecustomize.py", BENIGN),
        ("usercustomize.py", BENIGN),
        ("sitecustomize.so", "\x7fELF"),
        ("a1_coverage.pth", BENIGN),  # a reviewed name with another text
    ],
)
def test_a_planted_hook_is_refused(bare: Path, name: str, text: str) -> None:
    """As in March 2026: a file beside the packages that nobody imports, and that every interpreter runs."""
    (site(bare) / name).write_text(text)
    assert [found for _, found in refused(bare)] == [name]


def test_a_planted_hook_has_not_run_when_it_is_refused(bare: Path, tmp_path: Path) -> None:
    """The guard reads the environment with an interpreter that is not its own: the very first start would have been too late."""
    witness = tmp_path / "ran"
    (site(bare) / "evil.pth").write_text(f"import pathlib; pathlib.Path({str(witness)!r}).touch()\n")
    guard = [sys._base_executable, "-S", "-E", "-m", "services.cli.startup", str(bare)]
    said = subprocess.run(guard, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (said.returncode, witness.exists()) == (1, False)
    assert "NOT REVIEWED" in said.stderr
    assert "evil.pth" in said.stderr
    subprocess.run([str(bare / "bin" / "python"), "-I", "-c", ""], check=True, timeout=60)
    assert witness.exists(), "the plant would have run: the test can fail"


def test_a_package_named_sitecustomize_is_refused(bare: Path) -> None:
    """A folder can be imported as well as a file."""
    (site(bare) / "sitecustomize").mkdir()
    assert refused(bare) == [("module", "sitecustomize")]


def test_the_code_behind_a_reviewed_hook_is_held_to_its_text(bare: Path) -> None:
    """A hook that stays as it is may import what does not."""
    (site(bare) / "_distutils_hack").mkdir()
    (site(bare) / "_distutils_hack" / "__init__.py").write_text("def add_shim(): pass\n")
    assert refused(bare) == [("behind", "_distutils_hack/__init__.py")]


def test_a_stranger_in_a_group_that_others_load_is_refused(bare: Path) -> None:
    """pytest loads every plugin that is installed, pydantic every one of its own: entering oneself there is a start-up hook."""
    distribution(site(bare), "stranger", "[pytest11]\nx = stranger\n[pydantic]\ny = stranger\n", "stranger.py,,\n")
    assert refused(bare) == [("plugin", "pydantic"), ("plugin", "pytest11")]


def test_a_known_plugin_leads_to_its_own_code(bare: Path) -> None:
    """A distribution that may plug itself in may not plug in somebody else."""
    distribution(site(bare), "pytest-timeout", "[pytest11]\ntimeout = pytest_timeout\n", "pytest_timeout.py,,\n")
    assert refused(bare) == []
    distribution(site(bare), "anyio", "[pytest11]\nanyio = elsewhere.plugin\n", "anyio/__init__.py,,\n")
    assert refused(bare) == [("plugin", "pytest11")]


def test_a_command_by_name_is_no_hook(bare: Path) -> None:
    """What a person has to call does not run by itself."""
    distribution(site(bare), "stranger", "[console_scripts]\nstranger = stranger:main\n", "stranger.py,,\n")
    assert judged(bare).hooks == []


def test_a_plugin_that_is_wanted_elsewhere_is_refused_here(bare: Path) -> None:
    """Locust enters itself into pytest: in its own environment that is known, beside us it would come with every test."""
    distribution(site(bare), "locust", "[pytest11]\nlocust = pytest_locust.plugin\n", "pytest_locust/plugin.py,,\n")
    assert refused(bare) == [("plugin", "pytest11")]
    assert judged(bare, beside=["locust"]).refused == []


def test_an_environment_keeps_the_interpreters_packages_out(bare: Path) -> None:
    """With them everything that is installed on the machine would run as well."""
    settings = bare / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace("= false", "= true"))
    assert refused(bare) == [("setting", "include-system-site-packages = true")]


def test_folders_of_pythonpath_are_looked_at(bare: Path, tmp_path: Path) -> None:
    """What is planted there is found before the packages."""
    (tmp_path / "sitecustomize.py").write_text(BENIGN)
    assert refused(bare, PYTHONPATH=str(tmp_path)) == [("module", "sitecustomize.py")]


def test_what_belongs_to_the_interpreter_is_told_and_only_an_image_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The machine's owner may have put it there; in an image there is no such owner."""
    base, env = tmp_path / "base", tmp_path / "env"
    for folder in (base / "bin", base / "lib" / "python3.11", env / "lib" / "python3.11" / "site-packages"):
        folder.mkdir(parents=True)
    (env / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\ninclude-system-site-packages = false\n")
    (base / "lib" / "python3.11" / "sitecustomize.py").write_text(BENIGN)
    assert (main([str(env)]), main(["--strict", str(env)])) == (0, 1)
    assert "the interpreter's own, not reviewed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "is_believed"),
    [
        (f"MAPPING: dict[str, str] = {{'libs': {str(ROOT / 'libs')!r}}}", True),
        ("MAPPING: dict[str, str] = {'libs': '/somewhere/else/libs'}", False),
        ("MAPPING: dict[str, str] = {'libs': 'libs'}", False),
        (f"MAPPING: dict[str, str] = {{'ssl': {str(ROOT / 'libs')!r}}}", False),
        ("MAPPING: dict[str, str] = __import__('os').environ", False),
    ],
)
def test_our_own_finder_leads_into_this_project_alone(bare: Path, table: str, is_believed: bool) -> None:
    """An editable install is a list of folders: another folder would be another program under our name."""
    (site(bare) / "__editable___bulkhead_0_1_0_finder.py").write_text(f"{table}\n")
    (found,) = found_in(bare, ROOT)
    assert (found.text == "MAPPING = <the project>\n") is is_believed
    assert found.name == "__editable___bulkhead_<version>_finder.py"


def test_the_doctor_tells_what_was_not_reviewed(bare: Path, tmp_path: Path) -> None:
    """A hook that nobody knows keeps live trading from beginning; a variable that brings something into every process is told."""
    well = check_startup(bare, {})
    assert (well.level, is_critical(well.check)) == ("OK", True)
    assert check_startup(bare, {"LD_PRELOAD": "x.so"}).level == "WARN"
    assert check_startup(tmp_path / "nowhere", {}).level == "WARN"
    (site(bare) / "evil.pth").write_text(BENIGN)
    told = check_startup(bare, {})
    assert told.level == "FAIL"
    assert "evil.pth" in told.text


def test_nothing_to_judge_is_not_a_pass(tmp_path: Path) -> None:
    """A folder that is no environment, and a call without one, fail."""
    assert (main([str(tmp_path)]), main([]), main(["--quiet", "x"])) == (2, 2, 2)


def test_variables_that_change_the_interpreter_are_told() -> None:
    """Names alone: a value may be anything."""
    assert set_variables(dict.fromkeys(VARIABLES, "")) == []
    assert set_variables({"PATH": "x", "LD_PRELOAD": "x.so"}) == ["LD_PRELOAD"]


def test_installing_judges_before_anything_is_started() -> None:
    """`make install` judges after the packages and before the first thing that runs in their environment; an image before its packages are copied on."""
    makefile = (ROOT / "Makefile").read_text()
    install = re.search(r"^\$\(STAMP\):.*?\n\n", makefile, re.MULTILINE | re.DOTALL)[0]  # type: ignore[index]
    steps = [re.search(r"dev\.lock|GUARD|--editable|touch", line) for line in install.splitlines()[1:]]
    assert [step[0] for step in steps if step] == ["dev.lock", "GUARD", "--editable", "GUARD", "touch"]
    assert "GUARD  := $(PYTHON) -S -E -m services.cli.startup" in makefile
    stages = (ROOT / "deploy" / "images" / "Dockerfile").read_text().split("\nFROM ")
    packages = next(stage for stage in stages if "AS packages" in stage)
    assert packages.index("--no-index") < packages.index("python -S -E -m services.cli.startup --strict /venv")


def test_every_environment_that_is_made_is_judged() -> None:
    """Each recipe that installs a lock ends with the guard, and none lets a build fetch what no lock names."""
    makefile = (ROOT / "Makefile").read_text()
    recipes = [each for each in makefile.split("\n\n") if re.search(r"\$\((?:PIP|INSTALL)\) --require-hashes", each)]
    assert len(recipes) >= 3
    assert [each.splitlines()[0] for each in recipes if "$(GUARD)" not in each] == []
    installs = [line for line in makefile.splitlines() if "install" in line and "-r requirements/" in line]
    assert [line for line in installs if "--require-hashes" not in line] == []
    unisolated = [line for line in installs if "build.lock" not in line]
    assert [line for line in unisolated if "--no-build-isolation" not in line] == []
