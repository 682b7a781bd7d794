"""What the interval of a prediction holds beside the best estimate."""

from migkit import DirtyClass, Guest, Policy, Scenario, Strategy, predict

MIB = 2**20
GUEST = Guest(
    memory_bytes=64 * MIB, zero_bytes=24 * MIB, dirty=(DirtyClass(region_bytes=40 * MIB, writes_per_s=1000),)
)
WINDOW_S = 0.1


def hybrid(after_s: float) -> Scenario:
    policy = Policy(name="qemu-7", max_bandwidth_bytes_per_s=2e7)
    return Scenario(guest=GUEST, policy=policy, strategy=Strategy(name="hybrid", postcopy_after_s=after_s))


def width_s(scenario: Scenario) -> float:
    low_s, high_s = predict(scenario).interval.total_time_s
    return high_s - low_s


def test_a_switch_asked_for_at_the_end_of_a_window_may_come_a_window_later():
    assert width_s(hybrid(1.09)) - width_s(hybrid(1.05)) > 0.5 * WINDOW_S


def test_a_push_is_not_known_better_than_repetitions_of_it_agree():
    predicted = predict(guest=Guest(memory_bytes=1024 * MIB), strategy=Strategy(name="postcopy"))
    low_s, high_s = predicted.interval.total_time_s
    assert low_s < predicted.total_time_s - 0.3 * predicted.exposure_s
    assert high_s > predicted.total_time_s + 0.3 * predicted.exposure_s
