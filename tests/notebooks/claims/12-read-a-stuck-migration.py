told = log.diagnosis
assert told.outlook.verdict == "does_not_converge"
assert {"max-bandwidth", "auto-converge", "downtime-limit", "post-copy"} <= {one.name for one in told.changes}
assert all(one.converges > 0.5 for one in told.changes)
left = [point.remaining_bytes for point in told.course]
tops = [one for before, one, after in zip(left, left[1:], left[2:], strict=False) if before < one > after]
assert min(tops) > told.allowed_bytes > min(left)
assert any(one.needs_a_new_start for one in told.changes)
assert "49.8 MiB" in summary(stuck)
assert whole.log.meta["outcome"] == helped.log.meta["outcome"] == "completed"
assert whole.log.meta["totals"]["total_time_s"] > 80.0
assert any("Not stationary" in line for line in whole.sentences)
assert helped.log.meta["totals"]["total_time_s"] < 50.0
log.until.value = log.until.options[0][1]
log.wait()
assert log.diagnosis.outlook.verdict == "not_known"
assert "does not converge" in short.sentences[0]
