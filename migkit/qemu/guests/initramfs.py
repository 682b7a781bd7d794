"""The archive that a kernel unpacks as its first file system, made of files of packages and what these need."""

from __future__ import annotations

import contextlib
import dataclasses
import lzma
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from migkit.errors import RunError

__all__ = ["Archive", "libraries", "matching", "modules", "resolved"]

_PLACES: Final = ("lib/x86_64-linux-gnu", "lib64")
_MERGED: Final = ("bin", "sbin", "lib", "lib64")  # folders that are links into usr
_NEEDED: Final = re.compile(r"\(NEEDED\).*\[(.+)\]")
_DEPENDS: Final = re.compile(rb"\0depends=([^\0]*)\0")


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


class Archive:
    """Files by path; the same files make the same bytes, in whatever order they were added.

    Folders need not be added. ``bin``, ``sbin``, ``lib`` and ``lib64`` are links into ``usr``, as in Debian.

    Examples
    --------
    >>> archive = Archive()
    >>> archive.add("bin/true", b"...")
    >>> archive.paths()
    ['bin', 'lib', 'lib64', 'sbin', 'usr', 'usr/bin', 'usr/bin/true']
    """

    def __init__(self) -> None:
        self._entries = {name: _Entry(stat.S_IFLNK | 0o777, f"usr/{name}".encode()) for name in _MERGED}

    def add(self, path: str, data: bytes, mode: int = 0o755) -> None:
        """Add a file."""
        self._put(path, _Entry(stat.S_IFREG | mode, data))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._put(path, _Entry(stat.S_IFLNK | 0o777, target.encode()))

    def device(self, path: str, major: int, minor: int) -> None:
        """Add a character device."""
        self._put(path, _Entry(stat.S_IFCHR | 0o600, device=(major, minor)))

    def folder(self, path: str) -> None:
        """Add a folder, which may stay empty."""
        self._put(path, _Entry(stat.S_IFDIR | 0o755))

    def _put(self, path: str, entry: _Entry) -> None:
        inside = PurePosixPath(path)
        if inside.parts[0] in _MERGED:
            inside = "usr" / inside
        for parent in inside.parents:
            if parent.parts:
                self._entries.setdefault(str(parent), _Entry(stat.S_IFDIR | 0o755))
        self._entries[str(inside)] = entry

    def paths(self) -> list[str]:
        """Return all paths in order."""
        return sorted(self._entries)

    def packed(self) -> bytes:
        """Return the archive: cpio's format ``newc``, all files root's, of the year 1970."""
        ordered = [*sorted(self._entries.items()), ("TRAILER!!!", _Entry(0))]
        return b"".join(
            part for number, (path, entry) in enumerate(ordered, 1) for part in _member(number, path, entry)
        )


def _member(number: int, path: str, entry: _Entry) -> Iterator[bytes]:
    name = path.encode() + b"\0"
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    yield from _padded(b"070701" + b"".join(b"%08x" % field for field in fields) + name)
    yield from _padded(entry.data)


def _padded(data: bytes) -> tuple[bytes, bytes]:
    return data, bytes(-len(data) % 4)


def resolved(root: Path, path: str) -> Path:
    """Return the file that a path inside ``root``, or inside its ``usr``, means there, links followed.

    Raises
    ------
    RunError
        There is none.
    """
    found = root / path if (root / path).is_symlink() or (root / path).exists() else root / "usr" / path
    for _ in range(8):
        if not found.is_symlink():
            break
        target = found.readlink()
        found = root / target.relative_to("/") if target.is_absolute() else found.parent / target
    if not found.is_file():
        raise RunError(f"image: the packages hold no {path}; this Debian lays it out in another way")
    return found


def matching(root: Path, patterns: Iterable[str]) -> list[str]:
    """Return the paths of files inside ``root``, or inside its ``usr``, that match patterns, in order.

    Raises
    ------
    RunError
        Nothing matches one of the patterns.
    """
    return sorted(path for pattern in patterns for path in _matching(root, pattern))


def _matching(root: Path, pattern: str) -> list[str]:
    found = [path for place in (root, root / "usr") for path in place.glob(pattern) if not path.is_dir()]
    if not found:
        raise RunError(f"image: the packages hold no {pattern}; this Debian lays it out in another way")
    return [str(path.relative_to(root)) for path in found]


def libraries(programs: Iterable[Path], root: Path) -> dict[str, Path]:
    """Return the shared libraries that programs need, and those that these need, by name.

    Raises
    ------
    RunError
        One is not in the packages unpacked in ``root``.
    """
    found: dict[str, Path] = {}
    ahead = {name for program in programs for name in _needed(program)}
    while ahead:
        for name in ahead:
            found[name] = _library(root, name)
        ahead = {need for name in ahead for need in _needed(found[name])} - found.keys()
    return dict(sorted(found.items()))


def _library(root: Path, name: str) -> Path:
    for place in _PLACES:
        with contextlib.suppress(RunError):
            return resolved(root, f"{place}/{name}")
    raise RunError(f"image: no package holds the library {name}; report it with the release of this Debian")


def _needed(program: Path) -> list[str]:
    done = subprocess.run(["readelf", "-d", str(program)], capture_output=True, text=True, check=False)
    return _NEEDED.findall(done.stdout)


def modules(names: Iterable[str], root: Path) -> list[tuple[str, bytes]]:
    """Return modules of the kernel and those that they need, in the order of loading, each with its content.

    One that the kernel has built in is left out.
    """
    files = {path.name.partition(".")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name not in files:
            return
        content = _content(files[name])
        told = _DEPENDS.search(content)
        for need in filter(None, (told[1] if told else b"").decode().split(",")):
            add(need.replace("-", "_"))
        found[name] = content

    for name in names:
        add(name)
    return list(found.items())


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
