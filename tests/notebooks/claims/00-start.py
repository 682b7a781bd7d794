assert comparison.verdict_right
assert left_out.outcome.verified
assert abs(comparison.total_time_error) < 0.05
assert abs(comparison.bytes_error) < 0.03
assert explorer.result.verdict == "converges"
assert set(residuals.used) < set(runs)
