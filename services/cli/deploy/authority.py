"""A certificate authority of a deployment's own: what its servers prove themselves with, and what everybody holds them against.

One authority signs the certificates of the bus, the database and the gateway. Its key never leaves the machine where `bulkhead deploy keys` ran; whoever has a
certificate authority of the house puts that one's files in the places of these.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from libs.runtime.nats_config import KeysError, check_private, write_secret

CERTIFICATE, KEY = "authority.pem", "authority.key"
AUTHORITY_DAYS, SERVER_DAYS = 3650, 397
"""A server's certificate lives as long as browsers believe one; the authority's for ten years, because renewing it touches everybody."""
BACKDATED = dt.timedelta(hours=1)
"""A machine whose clock is a little behind must not find a certificate of the future."""


class Authority:
    """The authority whose files stand in `folder`; made there if it is missing.

    Raises:
        KeysError: its key is readable by others, or is none.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        if not (folder / KEY).exists():
            _make(folder)
        self.certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        self._key = _private_key(folder / KEY)

    def certify(self, certificate: Path, key: Path, names: tuple[str, ...]) -> None:
        """Make a key and a certificate for a server that is called by `names` (host names or addresses, the first is its own)."""
        made = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(names[0]))
            .issuer_name(self.certificate.subject)
            .public_key(made.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + dt.timedelta(days=SERVER_DAYS))
            .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        signed = builder.sign(self._key, hashes.SHA256())
        write_secret(key, _pem(made))
        write_secret(certificate, signed.public_bytes(Encoding.PEM))

    def has_signed(self, certificate: Path, names: Sequence[str] = (), *, days_left: int = 0) -> bool:
        """Whether this file holds a certificate of ours for (at least) these names that is valid for so many more days."""
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
            found.verify_directly_issued_by(self.certificate)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return False
        known = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if any(_alternative(name) not in list(known) for name in names):
            return False
        return found.not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=days_left)


def _make(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    name = _name("Bulkhead deployment")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    write_secret(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM))
    write_secret(folder / KEY, _pem(key))


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    check_private(path)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeysError(
            f"{path} is no key of a certificate authority of ours; bring it back, or move it and {CERTIFICATE} away to begin a new one"
        )
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
