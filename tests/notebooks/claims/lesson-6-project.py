assert log.meta["outcome"] == "completed"
assert (Policy().max_bandwidth_bytes_per_s, Policy().downtime_limit_s) == (128 * 2**20, 0.3)
assert round(guest.memory_bytes / 2**30) == 8
assert (six.case["targets"].total_time_s, six.case["targets"].downtime_s) == (10.0, 0.35)
assert (six.case["many"], six.case["window_s"], six.case["draws"]) == (12, 30.0, 127)
assert list(inventory.vms.host) == ["a"] * 12
assert set(inventory.hosts.host) == {"a", "b", "c"}
assert set(inventory.hosts.link_bytes_per_s) == {1.25e9}
