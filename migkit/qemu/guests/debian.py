"""Packages of the Debian that this machine runs, fetched and unpacked with nothing installed."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from migkit.errors import CapabilityError, RunError

__all__ = ["Package", "check_debian", "closure", "fetch", "unpack"]

_TOOLS: Final = {"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg"}
_RELEASE: Final = Path("/etc/os-release")
_FOLLOWED: Final = ("libs", "kernel", "database")  # sections: a package of another one is not needed to run a program
_ALTERNATIVE: Final = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package as apt knows it.

    Attributes
    ----------
    name, version
        What identifies it.
    section
        Where Debian files it, e.g. ``libs``.
    needs
        Names of the packages that it depends on; of alternatives the first.
    """

    name: str
    version: str
    section: str
    needs: tuple[str, ...]


def check_debian(release: Path = _RELEASE) -> None:
    """Raise :class:`CapabilityError` unless this machine is a Debian for x86-64 with apt."""
    known = release.read_text() if release.exists() else ""
    found = dict(line.split("=", 1) for line in known.splitlines() if "=" in line)
    name = found.get("PRETTY_NAME", "an unknown system").strip('"')
    if found.get("ID", "").strip('"') != "debian" or platform.machine() != "x86_64":
        raise CapabilityError(
            f"image: this machine runs {name} on {platform.machine()}, and the guest is made of packages of Debian "
            "for x86_64; make it on a Debian and copy the folder here"
        )
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise CapabilityError(f"image: {tool} is not installed, and it fetches packages; install {package}")


def closure(names: Sequence[str]) -> dict[str, Package]:
    """Return the packages of these names, and all libraries and kernels that they depend on, by name.

    Raises
    ------
    RunError
        apt does not know one of the names.
    """
    found = _known(names)
    for name in names:
        if name not in found:
            raise RunError(
                f"image: apt knows no package {name}; run apt-get update, and enable Debian's section main"
            )
    ahead = {need for package in found.values() for need in package.needs}
    while ahead := ahead - found.keys():
        new = {name: one for name, one in _known(sorted(ahead)).items() if one.section.split("/")[-1] in _FOLLOWED}
        found |= new
        ahead = {need for package in new.values() for need in package.needs}
    return dict(sorted(found.items()))


def _known(names: Iterable[str]) -> dict[str, Package]:
    said = _run(["apt-cache", "show", "--no-all-versions", *names]).stdout
    found = [_package(text) for text in said.split("\n\n") if text.strip()]
    return {package.name: package for package in found}


def _package(text: str) -> Package:
    """Return a package from a paragraph of ``apt-cache show``.

    Examples
    --------
    >>> _package("Package: a\\nVersion: 1\\nSection: libs\\nDepends: b (>= 2) | c, d:any").needs
    ('b', 'd')
    """
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and not line.startswith(" "))
    wanted = ", ".join(fields[name] for name in ("Pre-Depends", "Depends") if name in fields)
    needs = tuple(found[1] for part in wanted.split(",") if (found := _ALTERNATIVE.match(part)))
    return Package(name=fields["Package"], version=fields["Version"], section=fields.get("Section", ""), needs=needs)


def fetch(packages: Iterable[Package], folder: Path) -> list[Path]:
    """Have apt fetch packages into ``folder``, where one that is there already is kept; return their files.

    Raises
    ------
    RunError
        apt could not; the message quotes it.
    """
    wanted = list(packages)
    folder.mkdir(parents=True, exist_ok=True)
    done = _run(["apt-get", "download", *(f"{one.name}={one.version}" for one in wanted)], folder)
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.startswith("E: ")), "E: it said nothing")
        raise RunError(
            f"image: apt could not fetch {len(wanted)} packages ({said[3:]}); check the network, run apt-get update "
            "and try again"
        )
    return [
        folder / f"{one.name}_{one.version.replace(':', '%3a')}_{_architecture(folder, one)}.deb" for one in wanted
    ]


def _architecture(folder: Path, package: Package) -> str:
    name = f"{package.name}_{package.version.replace(':', '%3a')}_all.deb"
    return "all" if (folder / name).exists() else "amd64"


def unpack(files: Iterable[Path], root: Path) -> None:
    """Unpack packages into the folder ``root``; none of their scripts runs."""
    for file in files:
        done = _run(["dpkg-deb", "-x", str(file), str(root)])
        if done.returncode:
            raise RunError(f"image: {file} cannot be unpacked ({done.stderr.strip()}); remove it and try again")


def _run(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
