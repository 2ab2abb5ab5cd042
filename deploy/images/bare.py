"""Takes out of an image what a service never needs and an intruder always does: shells, package managers, everything that is run by name but Python itself.

Runs once, as the last step of the build, with the interpreter that stays. What is left of the system is libraries, certificates, and the list of packages that
scanners read (/var/lib/dpkg/status).
"""

import os
import shutil
import stat
from pathlib import Path

PROGRAMS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/sbin", "/usr/libexec")
USELESS = (
    "/usr/share/doc",
    "/usr/share/man",
    "/usr/share/perl5",
    "/usr/lib/apt",
    "/var/lib/apt",
    "/var/cache",
    "/var/log",
    "/root",
    "/usr/lib/dpkg",
)
PYTHON = Path("/usr/local/bin")


def main() -> None:
    """Empty the folders of programs, drop pip and its kin, and every bit that lends somebody's rights."""
    for folder in {Path(each).resolve() for each in PROGRAMS}:
        for path in folder.iterdir() if folder.is_dir() else ():
            _remove(path)
    for path in PYTHON.iterdir():
        if not path.name.startswith("python3") and path.name != "python":
            _remove(path)
    for library in Path("/usr/local/lib").glob("python3*"):
        for name in ("ensurepip", "idlelib", "lib2to3", "turtledemo", "site-packages", "test"):
            shutil.rmtree(library / name, ignore_errors=True)
    for each in USELESS:
        shutil.rmtree(each, ignore_errors=True)
    for folder, _, names in os.walk("/", onerror=None):
        if folder.startswith(("/proc", "/sys", "/dev")):
            continue
        for name in names:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(mode & ~(stat.S_ISUID | stat.S_ISGID))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


main()
