from migkit import predict

assert link.result.verdict == "converges" and link.result.downtime_s <= 1.0 and link.result.total_time_s <= 120.0
assert link.beside is not None and link.binding
assert safe.value >= link.value
assert busiest.result.verdict == "converges"
assert predict(given).verdict in ("converges", "does_not_converge")
