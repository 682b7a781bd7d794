assert told.downtime_s > shop.policy.downtime_limit_s  # everything else comes on top
assert abs(sum(part_s for _, part_s in told.downtime_parts) / told.downtime_s - 1) < 1e-9
quieter = three.case["capped"]
assert quieter.guest.writes_per_s == 10_000
assert (quieter.link.bandwidth_bytes_per_s, quieter.policy.max_bandwidth_bytes_per_s) == (1.25e9, 50e6)
assert (verdict(50e6), verdict(120e6)) == ("does_not_converge", "converges")
assert [name for name, _ in rules] == ["qemu", "xen", "criu-go-phaul", "nova"]
downtimes_s = [result.downtime_s for result in rules.values()]
assert max(downtimes_s) > 10 * min(downtimes_s)  # very different times
by_downtime = sorted(rules.values(), key=lambda result: result.downtime_s)
assert by_downtime[0].iterations > by_downtime[-1].iterations  # a short downtime costs rounds
