from migkit.calibrate.baselines import geometric

for scenario, writes_per_s in ((shop, 25_000), (two.case["busier"], 40_000)):
    assert (scenario.guest.memory_bytes, scenario.guest.zero_bytes) == (4 * 2**30, 2**30)
    assert [(one.region_bytes, one.writes_per_s) for one in scenario.guest.dirty] == [(512 * 2**20, writes_per_s)]
    assert (scenario.link.bandwidth_bytes_per_s, scenario.policy.downtime_limit_s) == (125e6, 0.3)
assert told.verdict == "converges"
assert geometric(shop).total_time_s > 3 * told.total_time_s  # wrong by factors
assert predict(two.case["busier"], level=None).verdict == "does_not_converge"
assert predict(two.case["busier"], level=None).rounds[-1].remaining_bytes > 3 * 125e6 * 0.3  # far above the level
