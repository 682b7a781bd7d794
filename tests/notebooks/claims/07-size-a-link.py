from migkit import predict

assert link.result.verdict == "converges"
assert link.result.downtime_s <= 1.0
assert link.result.total_time_s <= 120.0
assert link.beside is not None
assert link.binding
assert safe.value >= link.value
assert busiest.result.verdict == "converges"
assert predict(given).verdict in ("converges", "does_not_converge")
assert links.answer.result.verdict == "converges"
assert links.complaints == {}
