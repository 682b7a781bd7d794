assert (busier.link.rtt_s, busier.host.fault_service_s, busier.host.failures_per_h) == (200e-6, 170e-6, 0.01)
assert (busier.link.queue_bytes, four.case["fleet"]) == (2 * 2**20, 1000)
assert (four.case["most_down_s"], four.case["most_risk"]) == (0.1, 0.00002)
assert found["qemu", "precopy"].verdict == "does_not_converge"
kept = [
    name
    for (_, name), one in found.items()
    if one.verdict == "converges" and one.downtime_s < 0.1 and one.risk < 2e-5
]
assert kept == ["hybrid"]
assert postcopy.guest_slowdown > 0.1
