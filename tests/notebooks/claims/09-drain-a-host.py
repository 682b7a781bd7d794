assert one.is_in_time
assert one.makespan_s < 1800.0
assert one.makespan_s <= one.greedy_makespan_s
assert one.lower_bound_s <= one.makespan_s
assert set(rolling.hosts.host) == set(fleet.hosts.host)
assert rolling.makespan_s <= rolling.greedy_makespan_s
assert 0.0 <= chances.probability <= 1.0
assert one.makespan_s < chances.empty_by_s(0.5)
assert chances.fixes.probability.max() >= chances.probability
assert explorer.plan.is_in_time
assert explorer.loads.loc["h0 out"].max() > 0.5
assert 0.0 < explorer.rehearsal.probability <= 1.0
assert not as_it_is.is_in_time
assert as_it_is.hosts.why[~as_it_is.hosts.in_time].str.contains("raise the cap").all()
assert uncapped.is_in_time
assert (uncapped.hosts.empty_s < 60.0).sum() > 20
