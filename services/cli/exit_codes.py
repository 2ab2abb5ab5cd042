"""What `bulkhead` answers with: exit codes that scripts may rely on, and the one way a command fails.

A failure says what is wrong, then, on its last line, what to do. It is an answer, not a crash: no traceback. What does end in a
traceback is a defect of ours, with a code of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nats.errors import Error as NatsError

from libs.desk.commands import NotSaid
from libs.runtime.bus import BusError
from libs.runtime.clock import ClockUnavailable
from libs.runtime.nats_config import KeysError
from libs.runtime.nats_server import NatsServerError
from libs.runtime.provision import ProvisionError
from libs.runtime.settings import SettingsError

OK = 0
FINDING = 1
USAGE = 2
BAD_DUMP = 65
BAD_DATA = 66
UNAVAILABLE = 69
DEFECT = 70
CANNOT_WRITE = 73
NOT_YET = 75
CONFIG = 78
INTERRUPTED = 130

MEANINGS: dict[int, str] = {
    OK: "done, and nothing is wrong",
    FINDING: "done, and something was found: a mismatch, a failed check, an id that is unknown or ambiguous",
    USAGE: "the command line is wrong",
    BAD_DUMP: "a dump of a log, or a backup, cannot be read or is not what it says",
    BAD_DATA: "a file of market data was refused: what it holds cannot be believed",
    UNAVAILABLE: "the stack or its bus does not run, or does not answer",
    DEFECT: "a defect of bulkhead itself; the only case with a traceback",
    CANNOT_WRITE: "a file cannot be written",
    NOT_YET: "not yet: the command is in the log, but nobody has acted on it; or another command reads the log for too long; or a"
    " book has not shown what live trading asks",
    CONFIG: "bad settings or keys; or live mode is locked",
    INTERRUPTED: "interrupted by Ctrl-C",
}
"""Every exit code of every command. Stable: a new meaning gets a new number."""


POINTER = "Exit codes: see `bulkhead --help`."
"""What the help of each command says of them."""


class Failure(Exception):
    """A command cannot do what it was asked; `cure` says what to do next."""

    def __init__(self, code: int, text: str, cure: str):
        super().__init__(text)
        self.code = code
        self.text = text
        self.cure = cure


def epilog() -> str:
    """The table, for `--help`."""
    rows = [f"{code} {meaning}." for code, meaning in MEANINGS.items()]
    return "Exit codes: \n\n" + "\n\n".join(rows)


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Operating errors of what is called inside become failures with a cure.

    Raises:
        Failure
    """
    try:
        yield
    except SettingsError as error:
        raise Failure(CONFIG, f"bad settings:\n{error}", "correct what is named above, then try again") from error
    except KeysError as error:
        raise Failure(
            CONFIG, str(error), "run it on the machine and as the user that started the stack, or name it with --home"
        ) from error
    except ClockUnavailable as error:
        raise Failure(UNAVAILABLE, str(error), "look at `bulkhead status`: is the venue up?") from error
    except NatsServerError as error:
        raise Failure(UNAVAILABLE, str(error), "look at logs/nats.log in the state folder") from error
    except NotSaid as error:
        raise Failure(UNAVAILABLE, error.text, error.cure) from error
    except (BusError, ProvisionError, NatsError, TimeoutError) as error:
        raise Failure(
            UNAVAILABLE,
            f"the bus does not answer as it should: {str(error) or type(error).__name__}",
            "look at `bulkhead doctor` and at logs/nats.log in the state folder",
        ) from error
