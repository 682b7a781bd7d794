table = board.to_frame().set_index("data set")
assert table.runs.sum() > 2000
assert (table.verdicts == table.verdicts_right).all()
assert (table.off < table.off_geometric).all()
assert table.off["reference-runs"] < 0.01
assert table.off["published"] > table.off["kvm-database"]
assert table.in_interval["kvm-database"] > 0.9
assert weak.off.abs().max() > 1.0
