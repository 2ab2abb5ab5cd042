"""One-time codes count once, and guessing locks."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pyotp
import pytest

from libs.runtime.redaction import forget_secrets, redact
from libs.runtime.settings import SettingsError
from libs.runtime.telegram_settings import token_in
from services.telegram_bot import memory as keeping
from services.telegram_bot.admission import Seen
from services.telegram_bot.codes import Codes, Marks
from services.telegram_bot.memory import Memory
from services.telegram_bot.settings import Settings, seeds_in

ADA, BOB = 1001, 1002
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
WALL = 1_800_000_015.0


def code_at(wall: float) -> str:
    return pyotp.TOTP(SEED).at(int(wall))


def test_a_code_counts_once() -> None:
    """The same again is used; the next step's is good; one that is older than the last used is not."""
    codes = Codes({ADA: SEED}, {})
    assert codes.judge(ADA, code_at(WALL), WALL) == "GOOD"
    assert codes.judge(ADA, code_at(WALL), WALL) == "USED_CODE"
    assert codes.judge(ADA, code_at(WALL - 30), WALL) == "USED_CODE"
    assert codes.judge(ADA, code_at(WALL + 30), WALL + 30) == "GOOD"
    assert codes.judge(BOB, code_at(WALL), WALL) == "NO_CODE"


def test_a_step_early_or_late_is_good_and_two_are_not() -> None:
    """Clocks of phones differ."""
    for off_s, verdict in ((-30, "GOOD"), (30, "GOOD"), (-60, "BAD_CODE"), (60, "BAD_CODE")):
        assert Codes({ADA: SEED}, {}).judge(ADA, code_at(WALL + off_s), WALL) == verdict


def test_the_fifth_wrong_code_locks_for_a_quarter_of_an_hour() -> None:
    """Then not even a good one counts; a good one before begins the count anew; a used one is no guess."""
    codes = Codes({ADA: SEED, BOB: SEED}, {})
    wrong = "000000" if code_at(WALL) != "000000" else "000001"
    assert [codes.judge(ADA, wrong, WALL) for _ in range(4)] == ["BAD_CODE"] * 4
    assert codes.judge(ADA, code_at(WALL), WALL) == "GOOD"
    assert [codes.judge(ADA, code_at(WALL), WALL) for _ in range(9)] == ["USED_CODE"] * 9
    assert [codes.judge(ADA, wrong, WALL) for _ in range(5)] == ["BAD_CODE"] * 4 + ["CODE_LOCKED"]
    assert codes.judge(ADA, code_at(WALL + 30), WALL + 30) == "CODE_LOCKED"
    assert codes.judge(BOB, code_at(WALL), WALL) == "GOOD"
    assert codes.locked_s(ADA, WALL + 60) == 840
    assert codes.judge(ADA, code_at(WALL + 900), WALL + 900) == "GOOD"


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\uff11\uff12\uff13\uff14\uff15\uff16"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    """It is compared, not parsed."""
    assert Codes({ADA: SEED}, {}).judge(ADA, code, WALL) == "BAD_CODE"


def test_what_was_used_is_used_after_a_restart(tmp_path: Path) -> None:
    """The marks live in a file that only its owner can read; where one is spoilt, nobody knows which codes of this minute were used: none counts."""
    path = tmp_path / "deep" / "memory.json"
    memory = Memory(bot=7, seen=Seen(12, WALL), marks={ADA: Marks(step=9)})
    codes = Codes({ADA: SEED}, memory.marks)
    assert codes.judge(ADA, code_at(WALL), WALL) == "GOOD"
    keeping.save(path, msgspec.json.encode(memory))
    assert path.stat().st_mode & 0o777 == 0o600
    again = keeping.load(path, WALL)
    assert again == memory
    assert Codes({ADA: SEED}, again.marks).judge(ADA, code_at(WALL), WALL) == "USED_CODE"
    path.write_text("{")
    spoilt = keeping.load(path, WALL)
    codes = Codes({ADA: SEED}, spoilt.marks, spoilt.void_to)
    assert [codes.judge(ADA, code_at(WALL + step), WALL) for step in (-30, 0, 30)] == ["USED_CODE"] * 3
    assert codes.judge(ADA, code_at(WALL + 60), WALL + 60) == "GOOD"
    assert keeping.load(tmp_path / "none.json", WALL) == Memory()


def test_another_bot_has_other_numbers() -> None:
    """What was seen of one bot says nothing of the updates of another; used codes stay used."""
    memory = Memory(bot=7, seen=Seen(12, WALL), marks={ADA: Marks(step=9)})
    seen = memory.seen
    memory.of_bot(7)
    assert seen.update_id == 12
    memory.of_bot(8)
    assert (seen.update_id, memory.seen is seen, memory.marks[ADA].step) == (0, True, 9)


def secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def test_seeds_are_read_and_hidden(tmp_path: Path) -> None:
    """A line each, spaces as authenticators show them; from then on no text shows one."""
    path = secret(tmp_path / "seeds", f"# people\n\n{ADA}: jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp\n{BOB}:{SEED}\n")
    assert seeds_in(path) == {ADA: SEED, BOB: SEED}
    assert SEED not in redact(f"the seed is {SEED}")
    forget_secrets()


@pytest.mark.parametrize(
    "line", ["hello there, no seed", f"{ADA}:JBSWY3DPEHPK3PXP", f"{ADA}:not base32 at all!!", f"x:{SEED}"]
)
def test_a_line_that_is_no_seed_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    """Too short is refused as well: at least 128 bits."""
    path = secret(tmp_path / "seeds", f"{BOB}:{SEED}\n{line}\n")
    with pytest.raises(SettingsError, match="line 2") as caught:
        seeds_in(path)
    assert line.partition(":")[2][:10] not in str(caught.value).replace(str(path), "") or not line.partition(":")[2]
    forget_secrets()


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Seeds and token alike."""
    for read in (seeds_in, token_in):
        path = secret(tmp_path / read.__name__, f"{ADA}:{SEED}\n")
        os.chmod(path, 0o644)
        with pytest.raises(SettingsError, match="chmod 600"):
            read(path)


def test_the_settings_say_who_may_what(tmp_path: Path) -> None:
    """Roles by user, health pages by service; a user that is named twice and a token over plain http are refused."""
    settings = Settings(telegram_users="12:read,13:operate", telegram_services="ledger=http://127.0.0.1:1")
    assert settings.users == {12: "read", 13: "operate"}
    assert settings.health_pages == {"ledger": "http://127.0.0.1:1"}
    assert (Settings().users, dict(Settings().seeds)) == ({}, {})
    for wrong in ({"telegram_users": "12:read,12:operate"}, {"telegram_url": "http://api.telegram.org"}):
        with pytest.raises(ValueError, match=r"twice|plain http"):
            Settings(**wrong)
    assert Settings(telegram_url="http://127.0.0.1:81").telegram_url == "http://127.0.0.1:81"
