"""How a QEMU is started, with a script in its place."""

import shutil
import subprocess

import pytest

from migkit.qemu import machine
from migkit.qemu.machine import Settings
from migkit.units import MIB
from tests.conftest import require


@pytest.mark.parametrize("is_orphan", [False, True])
def test_a_qemu_whose_parent_died_before_the_kernel_was_told_is_not_begun(tmp_path, is_orphan):
    require(shutil.which("setpriv"), "no setpriv; apt-get install util-linux")
    begun, script = tmp_path / "begun", tmp_path / "qemu"
    script.write_text(f"#!/bin/sh\ntouch {begun}\n")
    script.chmod(0o755)
    command = machine._command("source", Settings(memory_bytes=64 * MIB, qemu=str(script)))
    by_another = ("sh", "-c", '"$@"; true', "sh") if is_orphan else ()
    subprocess.run([*by_another, *command], check=True)
    assert begun.exists() != is_orphan
