assert qemu.trace is not None, qemu.status.value
assert qemu.trace.outcome.verified
assert qemu.trace.outcome.verdict == qemu.prediction.verdict == "converges"
assert abs(qemu.trace.outcome.total_time_s / qemu.prediction.total_time_s - 1) < 0.3
assert qemu.looks[0].outlook.verdict == "not_known"
assert qemu.looks[0].outlook.iteration <= 1
assert qemu.looks[-1].outlook.phase == "done"
