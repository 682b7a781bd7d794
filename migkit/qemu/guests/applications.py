"""Linux guests with an application each: a kernel and their first file systems, made of packages of Debian."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from migkit.errors import CapabilityError, RunError, UsageError
from migkit.qemu.guests import debian, initramfs
from migkit.units import GIB, MIB

__all__ = ["APPLICATIONS", "Image", "build", "named", "opened", "usual_folder"]

_INSIDE: Final = Path(__file__).resolve().parent / "inside"
_COMPILE: Final = ("gcc", "-O2", "-static", "-s", "-Wl,--build-id=none")
_PACKAGES: Final = ("busybox-static", "linux-image-cloud-amd64")
_MODULES: Final = ("virtio_pci", "virtio_blk", "virtio_net")
_APPLETS: Final = ("sh", "mount", "mkdir", "cat", "sed", "insmod", "ifconfig", "rm", "chown")
_EMPTY: Final = ("proc", "sys", "dev", "tmp", "run")
_KERNEL, _FACTS = "kernel", "image.json"
_EVERYWHERE: Final = ("agent", "devices")  # workers of each guest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What one application brings into its guest, beside its own worker in ``inside``.

    Attributes
    ----------
    packages
        Of Debian.
    programs
        Patterns of their files that it runs or loads.
    files
        Patterns of those that it reads.
    workers
        Programs in ``inside`` that its own worker, a script, goes on with.
    loads
        What says how large its load is, and the largest number that each takes.
    disk_bytes
        Size of a second disk, for its data; 0: it has none.
    least_bytes
        The least memory of its guest.
    """

    packages: tuple[str, ...]
    programs: tuple[str, ...]
    files: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    loads: Mapping[str, int] = dataclasses.field(default_factory=dict)
    disk_bytes: int = 0
    least_bytes: int = 256 * MIB


_POSTGRESQL: Final = (
    *("bin/initdb", "bin/postgres", "bin/pgbench", "bin/psql", "bin/pg_checksums"),
    *("lib/plpgsql.so", "lib/dict_snowball.so"),
)
_SHARED: Final = ("*.*", "timezonesets/*", "tsearch_data/*", "extension/plpgsql*")

APPLICATIONS: Final[Mapping[str, Application]] = {
    "redis": Application(packages=("redis-server", "redis-tools"), programs=("usr/bin/redis-server",)),
    "stress-ng": Application(packages=("stress-ng",), programs=("usr/bin/stress-ng",), workers=("rounds",)),
    "postgresql": Application(
        packages=("postgresql", "e2fsprogs"),
        programs=("sbin/mke2fs", *(f"usr/lib/postgresql/*/{name}" for name in _POSTGRESQL)),
        files=tuple(f"usr/share/postgresql/*/{name}" for name in _SHARED),
        workers=("pgbench",),
        loads={"scale": 40, "clients": 64},
        disk_bytes=2 * GIB,
        least_bytes=384 * MIB,
    ),
}
"""By the name that ``migkit qemu capture --guest`` takes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A kernel and the first file system of each guest.

    Attributes
    ----------
    kernel
        File that QEMU boots.
    archives
        Files that it boots with, by application.
    packages
        Versions of Debian's packages that they are made of, by name.
    """

    kernel: Path
    archives: Mapping[str, Path]
    packages: Mapping[str, str]


def usual_folder() -> Path:
    """Return where the image is kept unless another folder is named: in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "migkit" / "guests" / "debian"


def named() -> list[str]:
    """Return the packages that are asked for by name; apt adds what these need."""
    return sorted({*_PACKAGES, *(name for one in APPLICATIONS.values() for name in one.packages)})


def build(folder: Path) -> Image:
    """Fetch packages into ``folder`` and make the guests there; the same packages make the same bytes.

    Raises
    ------
    CapabilityError
        This machine is no Debian, or lacks apt or a compiler.
    RunError
        Packages cannot be fetched, or the folder cannot be written.
    """
    debian.check_debian()
    if shutil.which(_COMPILE[0]) is None:
        raise CapabilityError("image: gcc is not installed, and it builds the workers; apt-get install gcc libc6-dev")
    packages = debian.closure(named())
    try:
        files = debian.fetch(packages.values(), folder / "packages")
        with tempfile.TemporaryDirectory(dir=folder) as place:
            root, made = Path(place) / "root", Path(place) / "made"
            made.mkdir()
            debian.unpack(files, root)
            shutil.copyfile(next(iter(sorted(root.glob("boot/vmlinuz-*")))), made / _KERNEL)
            for name in APPLICATIONS:
                (made / _archive_name(name)).write_bytes(_archive(name, root, Path(place)).packed())
            facts = {"sources": _sources(), "packages": {name: one.version for name, one in packages.items()}}
            (made / _FACTS).write_text(json.dumps(facts, indent=1) + "\n")
            for file in made.iterdir():
                file.replace(folder / file.name)
    except OSError as error:
        raise RunError(f"image: {folder} cannot be written ({error.strerror}); name another folder") from error
    return opened(folder)


def opened(folder: Path) -> Image:
    """Return the image that a folder holds.

    Raises
    ------
    UsageError
        There is none, or another version of migkit made it.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / _FACTS).read_text())
        packages, sources = dict(facts["packages"]), str(facts["sources"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"image: {folder} holds none; make it there with migkit qemu image {folder}") from None
    if sources != _sources():
        raise UsageError(
            f"image: that in {folder} was made by another version of migkit; make it anew: migkit qemu image {folder}"
        )
    archives = {name: folder / _archive_name(name) for name in APPLICATIONS}
    return Image(kernel=folder / _KERNEL, archives=archives, packages=packages)


def _archive_name(name: str) -> str:
    return f"initramfs-{name}"


def _archive(name: str, root: Path, place: Path) -> initramfs.Archive:
    one = APPLICATIONS[name]
    archive = initramfs.Archive()
    archive.device("dev/console", 5, 1)
    archive.device("dev/null", 1, 3)
    for folder in _EMPTY:
        archive.folder(folder)
    archive.add("init", (_INSIDE / "init.sh").read_bytes())
    archive.add("bin/busybox", initramfs.resolved(root, "bin/busybox").read_bytes())
    for applet in _APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    for at, (module, content) in enumerate(initramfs.modules(_MODULES, root)):
        archive.add(f"modules/{at:02}-{module}.ko", content, 0o644)
    for worker in (*_EVERYWHERE, name, *one.workers):
        script = _INSIDE / f"{worker}.sh"
        made = script.read_bytes() if script.exists() else _compiled(_INSIDE / f"{worker}.c", place)
        archive.add(f"workers/{worker}", made)
    for path in initramfs.matching(root, one.files):
        archive.add(path, initramfs.resolved(root, path).read_bytes(), 0o644)
    programs = {path: initramfs.resolved(root, path) for path in initramfs.matching(root, one.programs)}
    for path, file in programs.items():
        archive.add(path, file.read_bytes())
    for library, file in initramfs.libraries(programs.values(), root).items():
        where = "lib64" if library.startswith("ld-linux") else "lib/x86_64-linux-gnu"
        archive.add(f"{where}/{library}", file.read_bytes())
    return archive


def _compiled(source: Path, place: Path) -> bytes:
    program = place / source.stem
    done = subprocess.run(
        [*_COMPILE, "-o", str(program), source.name], cwd=_INSIDE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if "error" in line), "it said nothing")
        raise RunError(f"image: gcc could not build {source.name} ({said}); apt-get install gcc libc6-dev")
    return program.read_bytes()


def _sources() -> str:
    """Return what tells one version of what stands in the image beside packages from another."""
    digest = hashlib.sha256(repr((_COMPILE, _PACKAGES, _MODULES, _APPLETS, _EMPTY, dict(APPLICATIONS))).encode())
    for path in sorted(_INSIDE.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
