calm = {name: results[0] for name, results in strategies.sweep.items()}
assert calm["precopy"].verdict == "converges"
assert busy.results["precopy"].verdict == "does_not_converge"
assert abs(busy.results["postcopy"].total_time_s / calm["postcopy"].total_time_s - 1) < 0.05
assert calm["precopy"].downtime_s < calm["stopcopy"].downtime_s / 10
assert busy.results["postcopy"].guest_slowdown > 0
assert busy.results["postcopy"].risk > strategies.results["precopy"].risk == 0

planned = policies.results["qemu"]
downtimes_s = [result.downtime_s for result in policies.results.values() if result.verdict == "converges"]
assert planned.verdict == "converges"
assert planned.downtime_s < 0.3 + 0.05
assert max(downtimes_s) > 2 * min(downtimes_s)

assert strategies.results["postcopy"].postcopy_faults > 0
assert 0 < strategies.as_quick_up_to < strategies.converges_up_to < 1e6
