"""What the harness loads before it forks, so that no guest stands still meanwhile."""

import subprocess
import sys

LOADED = """
import numpy as np
from migkit.harness.runs.warm import warm_up
warm_up()
from migkit.harness.guests import registers, writers
from migkit.harness.guests.machine import Machine
from migkit.scenario import DirtyClass, Guest
machine = Machine(Guest(memory_bytes=65536, dirty=(DirtyClass(region_bytes=8192, writes_per_s=2000.0),)))
machine.boot(1)
before = list(writers.intensity_s.signatures)
assert registers.wrong(machine.registers, machine.guest) == ""
assert before == list(writers.intensity_s.signatures), writers.intensity_s.signatures
"""


def test_registers_are_checked_by_what_was_loaded_before():
    subprocess.run([sys.executable, "-c", LOADED], check=True, timeout=120)
