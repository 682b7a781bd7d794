"""Bulk copy over loopback as ratios to iperf3, and to QEMU, over the same path in the same run."""

import json
import math
import shutil
import subprocess

import numpy as np
import pytest

from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs import run as runs
from migkit.scenario import Guest, Policy, Scenario, Strategy
from tests.benchmarks import virtual_machine
from tests.benchmarks.turns import judge
from tests.conftest import require

pytestmark = [pytest.mark.benchmark, pytest.mark.live]
MIB = 1 << 20
MEMORY_BYTES = 256 * MIB
TURNS = 9
SHARE = 0.7


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as process:
        yield process


def iperf3_bytes_per_s():
    port = str(virtual_machine.free_port())
    server = subprocess.Popen(["iperf3", "-s", "-1", "-p", port, "--forceflush"], stdout=subprocess.PIPE, text=True)
    while "listening" not in server.stdout.readline():
        pass
    client = subprocess.run(
        ["iperf3", "-c", "127.0.0.1", "-p", port, "-n", str(4 * MEMORY_BYTES), "-J"],
        capture_output=True,
        text=True,
        check=True,
    )
    server.communicate()
    return json.loads(client.stdout)["end"]["sum_received"]["bits_per_second"] / 8


def uncapped(nursery, strategy):
    guest = Guest(memory_bytes=MEMORY_BYTES, zero_bytes=virtual_machine.FIRST_BYTE)
    rule = Policy(max_bandwidth_bytes_per_s=math.inf, downtime_limit_s=0.3)
    return runs.run(
        Scenario(guest=guest, policy=rule, strategy=Strategy(name=strategy)),
        options=runs.Options(plaintext=True),
        nursery=nursery,
    ).outcome


def bulk_bytes_per_s(nursery):
    outcome = uncapped(nursery, "stopcopy")
    return outcome.transferred_bytes / (outcome.downtime_parts_s["final_copy_s"] + outcome.downtime_parts_s["load_s"])


def precopy_bytes_per_s(nursery):
    outcome = uncapped(nursery, "precopy")
    return outcome.transferred_bytes / outcome.total_time_s


def turns(ours, theirs):
    """Return the medians of turns taken alternately, and that of the ratios of neighbours."""
    pairs = np.array([(ours(), theirs()) for _ in range(TURNS)])
    return *np.median(pairs, axis=0), np.median(pairs[:, 0] / pairs[:, 1])


def test_bulk_copy_reaches_its_share_of_iperf3(nursery, record_property):
    require(shutil.which("iperf3"), "no iperf3; apt-get install iperf3")
    ours, theirs, ratio = turns(lambda: bulk_bytes_per_s(nursery), iperf3_bytes_per_s)
    record_property("goodput_bytes_per_s", ours)
    record_property("iperf3_bytes_per_s", theirs)
    print(f"bulk copy {ours / 1e9:.2f} GB/s, iperf3 {theirs / 1e9:.2f} GB/s, ratio {ratio:.2f}")
    judge(record_property, "bulk copy / iperf3", ratio, at_least=SHARE)


@pytest.mark.verification
def test_precopy_of_an_idle_guest_is_faster_than_qemus(nursery, tmp_path, record_property):
    require(shutil.which("qemu-system-x86_64"), "no qemu-system-x86_64; apt-get install qemu-system-x86")
    ours, theirs, ratio = turns(
        lambda: precopy_bytes_per_s(nursery), lambda: virtual_machine.bytes_per_s(tmp_path, MEMORY_BYTES)
    )
    record_property("goodput_bytes_per_s", ours)
    record_property("qemu_bytes_per_s", theirs)
    print(f"pre-copy {ours / 1e9:.2f} GB/s, QEMU {theirs / 1e9:.2f} GB/s, ratio {ratio:.2f}")
    judge(record_property, "pre-copy / QEMU's", ratio, at_least=1.0)
