"""What numba keeps of a kernel goes stale with the source of any kernel."""

import os
import subprocess
import sys
from pathlib import Path

import migkit
from migkit.jit import freshness

PACKAGE = Path(migkit.__file__).parent

CALLED = """
import sys
import numba
from migkit.jit import freshness

freshness.digest = lambda: sys.argv[1]

@numba.njit(cache=True)
def compiled(number):
    return number + 1

if sys.argv[2] == "watched":
    freshness.watch(compiled)
compiled(1)
print(sum(compiled.stats.cache_hits.values()))
"""


def hits(folder, source, watched="watched"):
    """Return how often the cache of a process had the function, for these sources of kernels."""
    (folder / "called.py").write_text(CALLED)
    stamp = 1_700_000_000
    os.utime(folder / "called.py", (stamp, stamp))
    done = subprocess.run(
        [sys.executable, str(folder / "called.py"), source, watched],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(PACKAGE.parent)},
    )
    return int(done.stdout)


def test_another_kernel_that_changes_makes_it_stale(tmp_path):
    assert hits(tmp_path, "before") == 0
    assert hits(tmp_path, "before") == 1
    assert hits(tmp_path, "after") == 0
    assert hits(tmp_path, "after") == 1


def test_numba_alone_would_not_notice(tmp_path):
    assert hits(tmp_path, "before", "alone") == 0
    assert hits(tmp_path, "after", "alone") == 1


def test_the_digest_covers_what_has_kernels():
    decorated = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if any(line.startswith(("@jit", "@lean", "@inlined")) for line in path.read_text().splitlines())
    }
    assert decorated <= set(freshness._WITH_KERNELS)
