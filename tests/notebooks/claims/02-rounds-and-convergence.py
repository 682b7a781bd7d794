from migkit.models.dirty import natural_downtime_s

precopy, postcopy = (animation.runs[name] for name in ("precopy", "postcopy"))
assert precopy.frames.states.shape[1] == 65_536
assert precopy.runs[0].iterations > 3
assert precopy.runs[0].normal_pages > postcopy.runs[0].normal_pages
assert postcopy.runs[0].postcopy_faults > 0

lasted = [row.duration_s for row in rounds.result.rounds if row.sent_bytes > 0][:-1]
assert rounds.result.verdict == "converges"
assert lasted == sorted(lasted, reverse=True)

assert slow.result.verdict == "does_not_converge"
assert slow.result.natural_downtime_s > slow.result.downtime_limit_s
assert "strategy.auto_converge = true" in slow.result.remedies
assert 'strategy.name = "hybrid"' in slow.result.remedies
assert any("downtime_limit" in remedy for remedy in slow.result.remedies)
assert any("bandwidth" in remedy for remedy in slow.result.remedies)

guest, speed = slow.scenario().guest, 500e6 / 8
assert abs(natural_downtime_s(guest, speed) / slow.result.natural_downtime_s - 1) < 0.05

rounds.bandwidth.value = "700 Mbit/s"
at_random = rounds.result
rounds.kind.value = "sweep"
assert at_random.verdict == rounds.result.verdict == "converges"
assert rounds.result.total_time_s > 1.5 * at_random.total_time_s
