assert rules["kubevirt"]["completion_s_per_gib"] == 150.0
assert rules["openshift-2026"]["completion_s_per_gib"] == 20.0
assert change.stays == ["database"]
assert change.before.probability > 0.7
assert change.after.probability < 0.3
first = change.machines.iloc[0]
assert first.vm == "database"
assert first.gives_up_after > 0.7 > 0.3 > first.gives_up_before
calm = change.machines[change.machines.vm != "database"]
assert abs(calm.late_after_s.median() / calm.late_before_s.median() - 1) < 0.15
assert (calm.leaves_after == 1.0).all()
assert helped.fixes.probability[0] > 0.9
assert helped.fixes.setting[0] in ("auto-converge", "post-copy permitted")
old = helped.fixes[helped.fixes.setting.str.startswith("completionTimeout")]
assert old.probability.max() < helped.fixes.probability[0]
assert drain.upgrade.stays == ["database"]
