"""The lock of live mode: which certificates open it at a start."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from libs.common.timeframe import DAY
from libs.research.certificate import Certificate, CertificateRefused, sealed, written
from libs.runtime.registry import version_at_hand
from services.cli.stack import StackSettings
from services.cli.unlock import certificate_in_force
from tests.unit.research.test_certificate import certificate

NOW = time.time_ns()


def kept(folder: Path, found: Certificate, *, age_ns: int = 0) -> Path:
    """The file of a certificate that was made here, so long ago."""
    log = msgspec.structs.replace(found.log, last_ts=NOW - age_ns)
    path = folder / "certificate.json"
    mine = msgspec.structs.replace(found, days=(), log=log, issued_at=NOW - age_ns, code_version=version_at_hand())
    path.write_bytes(written(sealed(mine)))
    return path


def settings(path: Path | None, **more: object) -> StackSettings:
    return StackSettings(mode="live", certificate=path, **more)  # type: ignore[arg-type]


def test_a_certificate_for_this_book_and_code_opens_it(tmp_path: Path) -> None:
    """An override no less than one where everything was shown."""
    for is_met in (True, False):
        path = kept(tmp_path, certificate(is_met=is_met))
        found = certificate_in_force(settings(path), NOW)
        assert found is not None
        assert (found.override is None) == is_met


@pytest.mark.parametrize("mode", ["sim", "paper"])
def test_only_real_orders_are_locked(mode: str) -> None:
    """No certificate is asked for where none leave the machine."""
    assert certificate_in_force(StackSettings(mode=mode), NOW) is None  # type: ignore[arg-type]


def test_what_does_not_open_it_is_told_with_the_file(tmp_path: Path) -> None:
    """No file, a changed one, another book's, other code's, one that is too old by the setting."""
    with pytest.raises(CertificateRefused, match="it is locked, and no certificate was given"):
        certificate_in_force(settings(None), NOW)
    with pytest.raises(CertificateRefused, match=r"nothing\.json cannot be read: No such file"):
        certificate_in_force(settings(tmp_path / "nothing.json"), NOW)
    path = kept(tmp_path, certificate(), age_ns=8 * DAY)
    assert certificate_in_force(settings(path), NOW) is not None
    with pytest.raises(CertificateRefused, match=r"certificate\.json is refused: it ran out"):
        certificate_in_force(settings(path, certificate_days_max=7), NOW)
    with pytest.raises(CertificateRefused, match="for the book 'main', and this is 'other'"):
        certificate_in_force(settings(path, book="other"), NOW)
    path.write_text(path.read_text().replace('"Ada"', '"Eve"'))
    with pytest.raises(CertificateRefused, match="changed after it was issued"):
        certificate_in_force(settings(path), NOW)
    foreign = msgspec.structs.replace(certificate(), code_version="0ld")
    path.write_bytes(written(sealed(foreign)))
    with pytest.raises(CertificateRefused, match=f"issued for code 0ld, and the code at hand is {version_at_hand()}"):
        certificate_in_force(settings(path), NOW)
