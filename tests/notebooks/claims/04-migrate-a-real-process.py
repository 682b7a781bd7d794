assert live.trace is not None, live.status.value
assert live.trace.outcome.verified
assert live.trace.outcome.verdict == live.prediction.verdict == "converges"
assert abs(live.trace.outcome.total_time_s / live.prediction.total_time_s - 1) < 0.2
sent = live.trace.rounds["sent_bytes"].to_pylist()
assert sent[0] == max(sent)
assert sent[1] < sent[0] / 2
parts = live.trace.outcome.downtime_parts_s
assert {"quiesce_s", "final_sync_s", "final_copy_s", "load_s", "resume_s"} <= set(parts)
assert post.trace is not None, post.status.value
assert post.trace.outcome.verified
assert post.trace.machine["postcopy"]["blocktime_s"] >= 0.0
assert post.trace.outcome.transferred_bytes < live.trace.outcome.transferred_bytes
