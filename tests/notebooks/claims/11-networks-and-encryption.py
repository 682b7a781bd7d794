totals = {name: result.total_time_s for name, result in shared.items()}
assert totals["2 at once"] > 2 * totals["1 at once"]
assert shared["16 at once"].verdict == "does_not_converge"
assert all(shared[name].verdict == "converges" for name in ("1 at once", "2 at once", "4 at once", "8 at once"))

assert abs(hiccups["in the first round"].total_time_s - quiet.total_time_s - 2.0) < 0.3
assert hiccups["in the first round"].downtime_s < 0.35
assert hiccups["just before the switchover"].downtime_s < 0.35
assert abs(hiccups["just after it"].downtime_s - quiet.downtime_s - 2.0) < 0.1

assert far["0.1 ms, 1 streams"].limited_by == "link"
assert far["80 ms, 1 streams"].verdict == "does_not_converge"
assert far["80 ms, 1 streams"].limited_by == far["80 ms, 8 streams"].limited_by == "tcp"
assert far["80 ms, 8 streams"].verdict == "converges"

slow_plain, slow_tls = (
    predict(scenario(link={"bandwidth": "1 Gbit/s"}, strategy={"tls": tls})).total_time_s for tls in (False, True)
)
assert slow_plain == slow_tls
fast = predict(scenario(link={"bandwidth": "25 Gbit/s"}, strategy={"tls": True, "streams": 1}))
assert fast.limited_by == "encryption"
several = predict(scenario(link={"bandwidth": "25 Gbit/s"}, strategy={"tls": True, "streams": 4}))
assert several.total_time_s < fast.total_time_s / 3

explorer.encryption.value = "yes"
assert explorer.result.limited_by == "encryption"
explorer.streams.value = "2"
assert explorer.result.limited_by == "link"
