import math

constants = validate.constants(calibration).set_index("constant")
relative = constants.standard_error / constants.value
assert relative["page_header_bytes"] < 0.005
assert 0.05 < relative["goodput_bytes_per_s"] < 0.2
assert sum(math.isinf(run.scenario.policy.max_bandwidth_bytes_per_s) for run in runs.values()) == 2
assert "tls_bytes_per_s" in calibration.refused
off = errors.total_time_error.abs()
assert off["free"] > 0.15
assert off.drop("free").max() < 0.05
assert errors.bytes_error.abs().max() < 0.02
for name in ("total_time_s", "downtime_s", "transferred_bytes"):
    low, high = getattr(answer.interval, name)
    assert low <= getattr(runs["left-out"].outcome, name) <= high
