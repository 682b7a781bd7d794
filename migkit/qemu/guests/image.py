"""The bare-metal guest as a file that QEMU boots: compiled once, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from migkit.errors import CapabilityError, RunError

__all__ = ["build_guest", "guest_image"]

_HERE: Final = Path(__file__).resolve().parent
_SOURCES: Final = ("boot.S", "guest.c")
_LAYOUT: Final = "link.ld"
_COMPILE: Final = (
    *("gcc", "-m32", "-march=i686", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-s"),
    *("-fno-stack-protector", f"-Wl,--build-id=none,--no-warn-rwx-segments,-T,{_LAYOUT}", *_SOURCES),
)


def build_guest(folder: Path) -> Path:
    """Compile the guest into ``folder``; the same compiler makes the same file, bit for bit.

    Raises
    ------
    CapabilityError
        There is no gcc.
    RunError
        It could not compile the guest.
    """
    if shutil.which(_COMPILE[0]) is None:
        raise CapabilityError("guest: gcc is not installed, and it builds the guest; apt-get install gcc")
    image = folder / "guest.elf"
    done = subprocess.run([*_COMPILE, "-o", str(image)], cwd=_HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RunError(f"guest: gcc could not build it ({said}); install a complete gcc: apt-get install gcc")
    return image


def guest_image() -> Path:
    """Return the guest's file; it is compiled when the sources are not those of the last time."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "migkit" / "guests"
    image = folder / f"{_digest()}.elf"
    if not image.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as place:
                build_guest(Path(place)).replace(image)
        except OSError as error:
            raise RunError(
                f"guest: cannot be kept in {folder} ({error.strerror}); name a folder that can be written with "
                "XDG_CACHE_HOME"
            ) from error
    return image


def _digest() -> str:
    digest = hashlib.sha256(" ".join(_COMPILE).encode())
    for name in (*_SOURCES, _LAYOUT):
        digest.update((_HERE / name).read_bytes())
    return digest.hexdigest()[:16]
