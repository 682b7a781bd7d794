"""What encryption and a compressor cost, from real migrations."""

import math

import pytest

from migkit.calibrate.fit import fit
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs.run import Options, run
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy

MIB = 1 << 20


def encoded(nursery, **encoding):
    guest = Guest(memory_bytes=64 * MIB, dirty=(DirtyClass(region_bytes=8 * MIB, writes_per_s=1000.0),))
    strategy = Strategy(name="stopcopy", **encoding)
    case = Scenario(guest=guest, policy=Policy(max_bandwidth_bytes_per_s=math.inf), strategy=strategy)
    return run(case, options=Options(plaintext=not strategy.tls), nursery=nursery)


@pytest.mark.live
def test_real_runs_tell_what_encryption_and_compression_cost():
    with Nursery() as nursery:
        traces = [encoded(nursery, **each) for each in ({}, {"tls": True}, {"compression": "zlib"})]
    calibration = fit(traces, require=["goodput_bytes_per_s", "tls_bytes_per_s", "zlib_bytes_per_s"])
    host = calibration.host
    assert host.zlib_bytes_per_s < host.tls_bytes_per_s
    assert all(calibration.standard_errors[name] > 0.0 for name in ("tls_bytes_per_s", "zlib_bytes_per_s"))
    assert "zstd" in calibration.refused["zstd_bytes_per_s"]
