"""A guest fitted to one real KVM migration of a database, and every other one predicted from it.

    python -m tests.verification.kvm_database [FOLDER]

FOLDER holds logs of the names ``SERIES-RUN.json.gz`` as in ``data/kvm_database``; default: those that ship. QEMU's
defaults were in force, which are those of the policy. A post-copy is predicted from a guest of ``precopy-4t`` and
hosts fitted to that run and one other post-copy.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from migkit import Policy, Strategy
from migkit.calibrate.cross import Crossed, crossed, summary
from migkit.importers import Log, read
from migkit.traces import data

SPLITS = (
    ("pre-copy, 4 threads", "precopy-4t", "precopy-4t", Strategy()),
    ("pre-copy, 16 threads", "precopy-16t", "precopy-16t", Strategy()),
    ("auto-converge, from itself", "autoconverge-16t", "autoconverge-16t", Strategy(auto_converge=True)),
    ("auto-converge, from pre-copy", "precopy-16t", "autoconverge-16t", Strategy(auto_converge=True)),
    ("pre-copy, from auto-converge", "autoconverge-16t", "precopy-16t", Strategy()),
    ("post-copy at once", "precopy-4t", "postcopy-4t", Strategy(name="hybrid", postcopy_after_s=0.201)),
)


def logs(folder: Path) -> dict[str, dict[str, Log]]:
    """Return the logs by series and name."""
    found: dict[str, dict[str, Log]] = {}
    for path in sorted(folder.glob("*-*.json.gz")):
        series = re.sub(r"-\d+\.json\.gz$", "", path.name)
        found.setdefault(series, {})[path.name.removesuffix(".json.gz")] = read(path)[0]
    return found


def measure(folder: Path) -> dict[str, list[Crossed]]:
    """Return the predictions of each split."""
    known = logs(folder)
    posts = list(known.get("postcopy-4t", {}).items())
    return {
        title: list(
            crossed(known[source], known[target], Policy(), strategy, posts if target.startswith("post") else ())
        )
        for title, source, target, strategy in SPLITS
        if source in known and target in known
    }


def main() -> None:
    """Print one line a split."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else data.data_path("kvm_database")
    for title, rows in measure(folder).items():
        told = {key: round(value, 4) for key, value in summary(rows).items()}
        print(f"{title:30} {told}")


if __name__ == "__main__":
    main()
