"""TLS 1.3 with certificates on both sides, signed by an authority that lives for one migration."""

from __future__ import annotations

import datetime
import socket
import ssl
from pathlib import Path
from typing import Any, Final

from migkit.errors import RunError
from migkit.harness.protocol.wire import ConnectionLostError, part

__all__ = ["NAMES", "context_of", "make_identities", "secure"]

NAMES: Final = {"source": "migkit-source", "destination": "migkit-destination"}
_AUTHORITY: Final = "authority"
_VALID: Final = (  # for good: they are trusted for one migration only, and a clock may jump meanwhile
    datetime.datetime(1950, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC),
)


def make_identities(folder: Path) -> None:
    """Write an authority's certificate, and a key and certificate for each side, into a private folder.

    The authority's own key is not kept: nobody can be let in later. The builders of ``cryptography`` make all of
    it; ``trustme`` would take as many lines, and its certificates begin and end at dates that a wrong clock passes.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in (_AUTHORITY, *NAMES)}
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "migkit-authority")])
    for name, key in keys.items():
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMES.get(name, "migkit-authority"))])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_VALID[0])
            .not_valid_after(_VALID[1])
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


def context_of(folder: Path | str | None, side: str) -> ssl.SSLContext | None:
    """Return what a side needs for TLS, read once for many connections; None without a folder."""
    return None if folder is None else _context(Path(folder), side)


def secure(
    connection: socket.socket, folder: Path | str | None, side: str, context: ssl.SSLContext | None = None
) -> socket.socket:
    """Return ``connection`` encrypted, with the other side's certificate verified; as it is without a folder.

    Parameters
    ----------
    connection
        Just connected, with a time limit: nobody may keep a side waiting in the handshake.
    folder
        Where :func:`make_identities` wrote; None: plain text.
    side
        ``source`` or ``destination``.
    context
        Of :func:`context_of`; None: it is made.

    Raises
    ------
    RunError
        The other side cannot show the certificate that it must have; or it closed the connection before it
        said anything (:class:`migkit.harness.protocol.wire.ConnectionLostError`).
    """
    if folder is None:
        return connection
    context = context or _context(Path(folder), side)
    wrapped = context.wrap_socket(connection, server_side=side == "destination", do_handshake_on_connect=False)
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
    if not met:
        raise ConnectionLostError("tls: the connection was closed by the other side")
    if met != b"+" or _common_name(wrapped.getpeercert() or {}) != other:
        raise RunError(f"tls: the other side is not {other}")


def _refused(error: OSError) -> RunError:
    why = getattr(error, "verify_message", None) or getattr(error, "reason", None) or str(error)
    kind = ConnectionLostError if isinstance(error, ConnectionError | ssl.SSLEOFError) else RunError
    return kind(f"tls: the connection was refused ({why.replace('_', ' ').lower()})")


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
