"""Files as others may have made them, and files as others may look for them: the only ways in and out.

A reader opens nothing but regular files, so that a pipe cannot hold it and a device cannot fill the memory; it
knows the most that such a file may have before it reads one byte; and it takes text apart with parsers that only
build plain values. A writer makes a file without a name, on file systems that have such files, and names it when
it is complete: a run that is killed leaves nothing, and no link that somebody laid beside it is followed.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from migkit.errors import MigkitError, RunError, UsageError
from migkit.units import format_size

__all__ = [
    "appearing",
    "check_place",
    "each_key_once",
    "failure",
    "make_private",
    "open_regular",
    "parse_json",
    "parse_toml",
    "read",
    "unknown_keys",
]

_MOST_DIGITS: Final = 400  # as many as the longest number has that a float can hold
_MOST_KEY_PARTS: Final = 32
_NO_NAMELESS: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)  # by file system and kernel
# Strings (those without an end up to where the parser stops at them), comments, and what separates keys.
_TOML_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5})?'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5})?"
    r'|"(?:[^"\\\n]|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|(?P<end>[=,\[\]{}\n])"
    r"|(?P<dot>\.)",
    re.DOTALL,
)


def open_regular(path: Path | str) -> BinaryIO:
    """Return a regular file, open for reading; the call never waits.

    Raises
    ------
    OSError
        It cannot be opened, or it is a folder, a pipe, a socket or a device; ``strerror`` says so in words.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, "no path can hold such characters") from error
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a regular file")


def read(path: Path | str, most_bytes: int) -> bytes:
    """Return the content of a regular file of at most ``most_bytes``.

    Raises
    ------
    OSError
        As :func:`open_regular`, or the file is larger; ``strerror`` says so in words.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        raw = b"" if size > most_bytes else stream.read(most_bytes + 1)
    if max(size, len(raw)) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {format_size(most_bytes)}, the most that such a file may have")
    return raw


def parse_json(text: bytes | str) -> Any:
    """Return what JSON text says; numbers are finite or ``1e999``, and have at most 400 digits.

    Raises
    ------
    ValueError
        It is no JSON, nested too deeply, or an object has a key twice, of which Python's parser would take the last.

    Examples
    --------
    >>> parse_json('{"windows_s": [0.1, 1]}')
    {'windows_s': [0.1, 1]}
    >>> parse_json("[NaN]")
    Traceback (most recent call last):
    ValueError: NaN is not a number
    """
    try:
        return json.loads(text, parse_int=_whole, parse_constant=_refuse_constant, object_pairs_hook=each_key_once)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, for ``object_pairs_hook``.

    Raises
    ------
    ValueError
        A key stands in it twice.

    Examples
    --------
    >>> each_key_once([("memory", "1 GiB"), ("memory", "2 GiB")])
    Traceback (most recent call last):
    ValueError: "memory" is given twice in one object; keep one of them
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = collections.Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f'"{twice[:80]}" is given twice in one object; keep one of them')
    return found


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of TOML text.

    Raises
    ------
    ValueError
        It is no TOML, nested too deeply, or a key in it has more than 32 parts; the time that Python's
        parser takes for one key grows with the square of them.

    Examples
    --------
    >>> parse_toml('[guest]\\nmemory = "1 GiB"')
    {'guest': {'memory': '1 GiB'}}
    """
    dots = 0
    for token in _TOML_TOKEN.finditer(text):
        dots = 0 if token["end"] else dots + (token["dot"] is not None)
        if dots >= _MOST_KEY_PARTS:
            raise ValueError(f"a key with more than {_MOST_KEY_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def unknown_keys(record: Any, known: Any) -> str:
    """Return the first key of a record that is none of ``known``; empty when all are.

    Examples
    --------
    >>> unknown_keys({"kind": "harness", "rule": "..."}, ("kind", "outcome"))
    'rule'
    """
    return min((str(key) for key in record if key not in known), default="") if isinstance(record, dict) else ""


def check_place(path: Path | str) -> None:
    """Raise unless a file could appear at ``path``: in a folder, and in place of nothing or of a regular file.

    Raises
    ------
    OSError
        The folder does not exist, or a folder, a link, a pipe, a socket or a device has that name.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(kind):
        raise OSError(errno.ELOOP, "there is a link of that name, which is neither followed nor replaced")
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(kind):
        raise OSError(errno.EEXIST, "there is a pipe, a socket or a device of that name")


def failure(error: OSError) -> type[MigkitError]:
    """Return what a file that cannot be written is: a run that failed where the disk is full, else a wrong place.

    Examples
    --------
    >>> failure(OSError(errno.ENOSPC, "No space left on device")).exit_code
    1
    >>> failure(PermissionError(errno.EACCES, "Permission denied")).exit_code
    2
    """
    return RunError if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else UsageError


@contextlib.contextmanager
def appearing(path: Path | str, *, private: bool = True, replace: bool = True) -> Iterator[BinaryIO]:
    """Yield a new file that is named ``path`` at the end, if all went well: it appears whole or not at all.

    Parameters
    ----------
    path
        Where it appears.
    private
        Only its owner may read it, as what holds a guest's memory or tells of it; else who the umask allows.
    replace
        A regular file of that name gives way; else it stays, and FileExistsError is raised.

    Raises
    ------
    OSError
        It cannot be written, or :func:`check_place` refuses the place.
    """
    path = Path(path)
    check_place(path)
    descriptor, made = _new(path)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
            os.fchmod(descriptor, 0o600 if private else 0o666 & ~_umask())
            if made is None and replace and path.exists():
                made = _beside(path)
                _link(descriptor, made)
            if made is not None and replace:
                made.replace(path)
            else:
                _link(descriptor, path)
    finally:
        if made is not None:
            made.unlink(missing_ok=True)


def make_private(folder: Path | str) -> None:
    """Make a folder, and those above it, that only its owner may enter; one that exists stays as it is.

    Raises
    ------
    OSError
        It cannot be made, or something else has its name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)


def _new(path: Path) -> tuple[int, Path | None]:
    """Return a new file in the folder of ``path`` and its name, None where the file system has files without one."""
    try:
        return os.open(path.parent, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600), None
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
    name = _beside(path)
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), name


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.{os.urandom(8).hex()}.part")


def _link(descriptor: int, path: Path) -> None:
    """Give an open file a name that nothing has."""
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _umask() -> int:
    """Return the umask of this process, which no call can ask for without changing it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS + 1:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")
