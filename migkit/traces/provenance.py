"""Who made an output, when, with what: stands in every trace."""

from __future__ import annotations

import datetime
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from migkit import __version__

__all__ = ["provenance"]


def provenance(seed: int | None = None) -> dict[str, Any]:
    """Return the provenance of an output made now by this process.

    Parameters
    ----------
    seed
        Of the run, when it has one.

    Returns
    -------
    dict
        ``migkit_version``, ``created`` (UTC, ISO 8601), ``python``, ``kernel``, ``command`` (the program's name
        without its folder, and its arguments), ``seed``.

    Examples
    --------
    >>> sorted(provenance(seed=7))
    ['command', 'created', 'kernel', 'migkit_version', 'python', 'seed']
    """
    return {
        "migkit_version": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "command": shlex.join([_program(Path(sys.argv[0])), *sys.argv[1:]]),
        "seed": seed,
    }


def _program(path: Path) -> str:
    """Return the name by which a person called it; ``python -m migkit`` has the package's."""
    return path.parent.name if path.name == "__main__.py" else path.name
