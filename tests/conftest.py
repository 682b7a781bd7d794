"""What all tests share."""

import hashlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from migkit.policies.built_in import BUILT_IN

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


@pytest.fixture(autouse=True)
def signals_as_before():
    """Give signals their effect back: each program that is started later would ignore what a command ignores."""
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.fixture
def built_in_policies(monkeypatch):
    """Have only the policies that ship: other tests register rules of their own, some of them wrong on purpose."""
    monkeypatch.setattr(importlib.import_module("migkit.scenario.policy"), "_presets", {p.name: p for p in BUILT_IN})


def in_two_gib(*arguments, code=None, **options):
    """Run ``migkit`` with these arguments, or ``code``, in 2 GiB of address space; return what came of it.

    It is killed after a minute, which no reader may come near.
    """
    start = [sys.executable, "-c", code] if code else [sys.executable, "-P", "-m", "migkit"]
    options = {"env": os.environ | {"PYTHONPATH": str(TOP), "OPENBLAS_NUM_THREADS": "1"}} | options
    return subprocess.run(
        ["prlimit", f"--as={2 << 30}", *start, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        **options,
    )


def pytest_configure(config):
    """Give each worker its own cache of compiled kernels, another one whenever a numba setting changes.

    A new one begins with what the folder ``common`` beside it holds, if there is one.
    """
    base = os.environ.get("MIGKIT_NUMBA_CACHE") or os.environ.get("NUMBA_CACHE_DIR")
    os.environ["MIGKIT_NUMBA_CACHE"] = base = base or str(TOP / ".pytest_cache" / "numba" / _settings_digest())
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    own, common = Path(base) / worker, Path(base) / "common"
    if common.is_dir() and not own.exists():
        shutil.copytree(common, own)
    os.environ["NUMBA_CACHE_DIR"] = str(own)


def _settings_digest():
    digest = hashlib.sha256()
    for name in ("NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"):
        digest.update(f"{name}={os.environ.get(name)}".encode())
    return digest.hexdigest()[:16]
