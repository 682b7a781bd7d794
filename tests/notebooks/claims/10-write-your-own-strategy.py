assert usual.verdict == "does_not_converge"
assert own.verdict == measured.outcome.verdict == "converges"
assert own.downtime_s < limits["downtime_limit_s"]
assert measured.outcome.verified
assert abs(measured.outcome.iterations - own.iterations) <= 2
assert abs(measured.outcome.total_time_s / own.total_time_s - 1) < 0.4


def told(writes_per_s):
    one = Guest.parse(memory="128 MiB", dirty=[{"region": "16 MiB", "writes_per_s": writes_per_s}])
    return [predict(guest=one, policy=Policy.named(name, **limits), level=None) for name in ("qemu", "patient")]


usual_calm, own_calm = told(8_000)
assert (usual_calm.verdict, usual_calm.total_time_s) == ("converges", own_calm.total_time_s)
assert usual_calm.downtime_s == own_calm.downtime_s
usual_near, own_near = told(15_000)
assert usual_near.verdict == "converges"
assert own_near.iterations < usual_near.iterations
assert own_near.downtime_s > usual_near.downtime_s
usual_beyond, own_beyond = told(40_000)
assert (usual_beyond.verdict, own_beyond.verdict) == ("does_not_converge", "converges")
