assert all(run.outcome.verified for run in runs.values())
caps = {name: run.scenario.policy.max_bandwidth_bytes_per_s * 8 / 1e6 for name, run in runs.items()}
assert (caps["fast"], caps["slow"]) == (1280, 800)
assert max(caps["large"], caps["left-out"]) < caps["free"] == float("inf")
assert runs["stopcopy"].scenario.strategy.name == "stopcopy"
assert abs(comparison.total_time_error) < 0.05
assert abs(each["free"].total_time_error) > 5 * max(abs(each[name].total_time_error) for name in ("fast", "slow"))
assert [each[name].prediction.limited_by for name in ("fast", "slow", "left-out")] == ["cap"] * 3
assert each["free"].prediction.limited_by == "stream"
