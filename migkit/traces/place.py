"""Whether a file could be written, asked before the run whose record it is to hold."""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
import time
from pathlib import Path

from migkit.errors import UsageError
from migkit.files import failure

__all__ = ["check_place", "check_room"]

_ROOM_BYTES = 1 << 13  # about the least that a trace takes
_OLD_S = 60.0


def check_place(output: Path | None, what: str, *, force: bool) -> None:
    """Refuse a place where a file could not be written, before the run.

    Raises
    ------
    UsageError
        The folder does not exist or cannot be written to, or something is in the way.
    RunError
        The disk is full.
    """
    if output is None:
        return
    if not output.parent.is_dir():
        raise UsageError(f"{what} {output}: the folder {output.parent} does not exist; create it or write elsewhere")
    if output.exists() and not force:
        raise UsageError(f"{what} {output}: it exists; write elsewhere or overwrite it with --force")
    if output.exists() and not output.is_file():
        raise UsageError(f"{what} {output}: is a folder or a device; name a file")
    _remove_parts(output)
    check_room(output.parent, f"{what} {output}")


def _remove_parts(output: Path) -> None:
    """Remove what runs that were killed had written of this file; whoever still writes it does so within a second."""
    for part in output.parent.glob(f".{glob.escape(output.name)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _OLD_S:
                part.unlink()


def check_room(folder: Path, what: str) -> None:
    """Refuse a folder that has no room for a file.

    Raises
    ------
    UsageError
        It cannot be written to.
    RunError
        The disk is full.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_ROOM_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise failure(error)(
            f"{what}: cannot be written ({error.strerror}); write it elsewhere; no guest was started"
        ) from error
