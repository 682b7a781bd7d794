"""What all tests share."""

import hashlib
import os
from pathlib import Path

import hypothesis
import pytest

# Generated inputs are judged by what comes out, never by how long a shared machine takes for it.
hypothesis.settings.register_profile("migkit", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("migkit")

TOP = Path(__file__).resolve().parents[1]


def require(available, reason):
    """Skip the test with the reason unless ``available``; with MIGKIT_LIVE=1, where all must run, fail it.

    Use it inside a test or fixture: ``require(shutil.which("chromium"), "no Chromium; apt-get install chromium")``.
    """
    if available:
        return
    if os.environ.get("MIGKIT_LIVE") == "1":
        pytest.fail(f"MIGKIT_LIVE=1, but {reason}")
    pytest.skip(reason)


def pytest_configure(config):
    """Give each worker its own cache of compiled kernels, new whenever a kernel or a numba setting changes."""
    base = os.environ.get("MIGKIT_NUMBA_CACHE") or os.environ.get("NUMBA_CACHE_DIR")
    os.environ["MIGKIT_NUMBA_CACHE"] = base = base or str(TOP / ".pytest_cache" / "numba" / _kernels_digest())
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    os.environ["NUMBA_CACHE_DIR"] = str(Path(base) / worker)


def _kernels_digest():
    digest = hashlib.sha256()
    for path in sorted((TOP / "migkit" / "kernels").rglob("*.py")):
        digest.update(path.read_bytes())
    for name in ("NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"):
        digest.update(f"{name}={os.environ.get(name)}".encode())
    return digest.hexdigest()[:16]
