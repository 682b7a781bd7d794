"""When a guest is busy and when it rests."""

import numpy as np
import pytest

from migkit.calibrate.guest.pulses import pulses_of

BEATS_S = np.full(160, 0.1)


def rates(busy_s: float, rest_s: float, level: float, mean: float = 1500.0, seed: int = 3) -> np.ndarray:
    """Return what beats of 0.1 s show; one in which the guest changes is busy in part."""
    at_s = np.arange(161)[:, None] * 0.1 + 0.37
    until_s = at_s // (busy_s + rest_s) * busy_s + np.minimum(at_s % (busy_s + rest_s), busy_s)
    busy = np.diff(until_s[:, 0]) / 0.1
    return np.random.default_rng(seed).poisson(mean * 0.1 * (level + (1.0 - level) * busy)) / 0.1


@pytest.mark.parametrize(("busy_s", "rest_s", "level"), [(1.0, 1.0, 0.0), (0.65, 1.53, 0.3), (1.94, 0.57, 0.3)])
def test_durations_are_known_to_less_than_a_beat(busy_s, rest_s, level):
    found = pulses_of(rates(busy_s, rest_s, level), BEATS_S)
    assert found.busy_s == pytest.approx(busy_s, abs=0.05)
    assert found.rest_s == pytest.approx(rest_s, abs=0.05)
    assert found.rest_level == pytest.approx(level, abs=0.05)
    assert found.busy.mean() == pytest.approx(busy_s / (busy_s + rest_s), abs=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_chance_is_no_phase(seed):
    assert pulses_of(rates(1.0, 1.0, 1.0, seed=seed), BEATS_S) is None


def test_a_machine_that_stands_still_for_a_while_hides_no_phases():
    seen = rates(1.5, 2.0, 0.3)
    seen[60:66] = 0.0
    seen[66] = 5000.0
    found = pulses_of(seen, BEATS_S)
    assert found.busy_s == pytest.approx(1.5, abs=0.1)
    assert found.rest_s == pytest.approx(2.0, abs=0.1)


def test_bursts_without_a_pattern_are_no_phases():
    seen = np.full(160, 900.0)
    for at in (33, 58, 84, 106, 145, 158):
        seen[at : at + 2] = 9000.0
    assert pulses_of(seen, BEATS_S) is None
