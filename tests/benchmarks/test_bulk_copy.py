"""Bulk copy over loopback as a ratio to iperf3 over the same path in the same run."""

import json
import math
import shutil
import subprocess

import pytest

from migkit.harness import run as runs
from migkit.harness.nursery import Nursery
from migkit.scenario import Guest, Policy, Scenario, Strategy
from tests.conftest import require

pytestmark = [pytest.mark.benchmark, pytest.mark.live]
MIB = 1 << 20
MEMORY_BYTES = 256 * MIB
SHARE = 0.25  # 0.7 is the aim: new pages at the destination cost as much as the path; shared machines add noise


def iperf3_bytes_per_s():
    server = subprocess.Popen(["iperf3", "-s", "-1", "-p", "5299", "--forceflush"], stdout=subprocess.PIPE, text=True)
    while "listening" not in server.stdout.readline():
        pass
    client = subprocess.run(
        ["iperf3", "-c", "127.0.0.1", "-p", "5299", "-n", str(4 * MEMORY_BYTES), "-J"],
        capture_output=True,
        text=True,
        check=True,
    )
    server.communicate()
    return json.loads(client.stdout)["end"]["sum_received"]["bits_per_second"] / 8


def bulk_bytes_per_s(nursery):
    guest = Guest(memory_bytes=MEMORY_BYTES)
    rule = Policy(max_bandwidth_bytes_per_s=math.inf, downtime_limit_s=0.3)
    trace = runs.run(
        Scenario(guest=guest, policy=rule, strategy=Strategy(name="stopcopy")),
        options=runs.Options(plaintext=True),
        nursery=nursery,
    )
    parts = trace.outcome.downtime_parts_s
    return trace.outcome.transferred_bytes / (parts["final_copy_s"] + parts["load_s"])


def test_bulk_copy_reaches_its_share_of_iperf3(record_property):
    require(shutil.which("iperf3"), "no iperf3; apt-get install iperf3")
    with Nursery() as nursery:
        pairs = [(bulk_bytes_per_s(nursery), iperf3_bytes_per_s()) for _ in range(6)]
    ours, theirs = (max(column) for column in zip(*pairs, strict=True))
    record_property("goodput_bytes_per_s", ours)
    record_property("iperf3_bytes_per_s", theirs)
    print(f"bulk copy {ours / 1e9:.2f} GB/s, iperf3 {theirs / 1e9:.2f} GB/s, ratio {ours / theirs:.2f}")
    assert ours / theirs >= SHARE
