"""TLS 1.3 with certificates on both sides, signed by an authority that lives for one migration."""

from __future__ import annotations

import datetime
import socket
import ssl
from pathlib import Path
from typing import Any, Final

from migkit.errors import RunError
from migkit.harness.wire import part

__all__ = ["NAMES", "make_identities", "secure"]

NAMES: Final = {"source": "migkit-source", "destination": "migkit-destination"}
_AUTHORITY: Final = "authority"
_VALID: Final = datetime.timedelta(days=1)


def make_identities(folder: Path) -> None:
    """Write an authority's certificate, and a key and certificate for each side, into a private folder.

    The authority's own key is not kept: nobody can be let in later.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in (_AUTHORITY, *NAMES)}
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "migkit-authority")])
    for name, key in keys.items():
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMES.get(name, "migkit-authority"))])
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _VALID)
            .not_valid_after(now + _VALID)
            .add_extension(x509.BasicConstraints(ca=name == _AUTHORITY, path_length=None), critical=True)
        )
        _write(folder, name, builder, keys, key)


def _write(folder: Path, name: str, builder: Any, keys: dict[str, Any], key: Any) -> None:
    from cryptography.hazmat.primitives import hashes, serialization

    certificate = builder.sign(keys[_AUTHORITY], hashes.SHA256())
    text = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / f"{name}.crt").write_bytes(text)
    if name == _AUTHORITY:
        return
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path = folder / f"{name}.key"
    path.touch(mode=0o600)
    path.write_bytes(secret)


def secure(connection: socket.socket, folder: Path | str | None, side: str) -> socket.socket:
    """Return ``connection`` encrypted, with the other side's certificate verified; as it is without a folder.

    Parameters
    ----------
    connection
        Just connected, with a time limit: nobody may keep a side waiting in the handshake.
    folder
        Where :func:`make_identities` wrote; None: plain text.
    side
        ``source`` or ``destination``.

    Raises
    ------
    RunError
        The other side cannot show the certificate that it must have.
    """
    if folder is None:
        return connection
    wrapped = _context(Path(folder), side).wrap_socket(
        connection, server_side=side == "destination", do_handshake_on_connect=False
    )
    try:
        wrapped.do_handshake()
        _check_other(wrapped, next(name for role, name in NAMES.items() if role != side))
    except (OSError, RunError) as error:
        part(wrapped)
        wrapped.close()
        raise error if isinstance(error, RunError) else _refused(error) from error
    return wrapped


def _check_other(wrapped: ssl.SSLSocket, other: str) -> None:
    """Raise unless the other side accepted us too (in TLS 1.3 a client hears that only later), and is ``other``."""
    wrapped.sendall(b"+")
    met = wrapped.recv(1)
    if met != b"+" or _common_name(wrapped.getpeercert() or {}) != other:
        raise RunError(f"tls: the other side is not {other}")


def _refused(error: OSError) -> RunError:
    why = getattr(error, "verify_message", None) or getattr(error, "reason", None) or str(error)
    return RunError(f"tls: the connection was refused ({why.replace('_', ' ').lower()})")


def _context(folder: Path, side: str) -> ssl.SSLContext:
    purpose = ssl.PROTOCOL_TLS_SERVER if side == "destination" else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(purpose)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if side == "destination":
        context.num_tickets = 0
    context.load_verify_locations(folder / f"{_AUTHORITY}.crt")
    context.load_cert_chain(folder / f"{side}.crt", folder / f"{side}.key")
    return context


def _common_name(certificate: Any) -> str | None:
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else None
