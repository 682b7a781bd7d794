"""Private temporary folders that the next run removes when the one that made them was killed.

Whoever uses a folder holds a lock on it (``flock``), which the kernel takes back with the process. So a
folder of this name and user that is not locked is nobody's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["private_folder", "remove_leftovers"]

_PREFIX: Final = "migkit-run-"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a new folder for this user alone, removed afterwards; those that killed runs left are removed first."""
    remove_leftovers()
    folder, lock = _make()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_leftovers() -> None:
    """Remove the folders of this user that nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _make() -> tuple[Path, int]:
    """Return a new folder and the lock on it; another run may take it for a leftover before it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            lock = _lock(folder)
        except FileNotFoundError:
            continue
        except OSError:
            folder.rmdir()
            raise
        if lock is not None and folder.is_dir():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return the lock on a folder of this user; None: somebody has it.

    Raises
    ------
    OSError
        It is gone, is no folder, or cannot be opened.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return None
