import subprocess
import sys

import pytest

from migkit.errors import RunError
from migkit.models import warm


def test_predictions_are_compiled_afterwards_and_equal():
    code = (
        "from migkit import DirtyClass, Guest, predict\n"
        "from migkit.kernels import precopy\n"
        "from migkit.models import warm\n"
        "guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**27, writes_per_s=9000.0),))\n"
        "plain = predict(guest=guest)\n"
        "warm.warm_up()\n"
        "assert predict(guest=guest) == plain\n"
        "import numba\n"
        "assert numba.config.DISABLE_JIT or any('Dispatcher' in type(v).__name__ for v in vars(precopy).values())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_failure_is_told_with_its_reason(monkeypatch):
    monkeypatch.setattr(warm, "_CODE", "raise OSError('the disk is full')")
    with pytest.raises(RunError, match="the disk is full"):
        warm.warm_up()
