import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario
from migkit.models import comparison

RAM = 1024 * 2**20
BANDWIDTH = 100 * 2**20


def scenario(writes_per_s=0.0, bandwidth=BANDWIDTH):
    dirty = (DirtyClass(region_bytes=RAM // 2, writes_per_s=writes_per_s),) if writes_per_s else ()
    return Scenario(
        guest=Guest(memory_bytes=RAM, dirty=dirty),
        link=Link(bandwidth_bytes_per_s=float(bandwidth)),
        policy=Policy(name="libvirt"),
    )


def test_simgrid_is_a_geometric_series_until_30_ms_remain():
    result = comparison.simgrid(scenario(writes_per_s=BANDWIDTH / 4096 / 4))  # D = bandwidth / 4
    rounds = [10.24 * 0.25**k for k in range(10)]
    last = next(k for k, t in enumerate(rounds) if t <= 0.03)
    assert result.total_time_s == pytest.approx(sum(rounds[: last + 1]))
    assert result.downtime_s == pytest.approx(rounds[last])
    assert result.rounds == last + 1


def test_simgrid_caps_dirtying_at_nine_tenths_of_the_ram():
    """It goes on until 1e7 s have passed, then stops the VM in mid-round."""
    result = comparison.simgrid(scenario(writes_per_s=4 * BANDWIDTH / 4096))
    assert not result.converges
    round_s = 0.9 * RAM / BANDWIDTH
    cut_s = (1e7 - 10.24) % round_s
    remaining = 0.9 * RAM - cut_s * BANDWIDTH + min(4 * BANDWIDTH * cut_s, 0.9 * RAM)
    assert result.downtime_s == pytest.approx(remaining / BANDWIDTH)
    assert result.total_time_s == pytest.approx(1e7 + remaining / BANDWIDTH)


def test_simgrid_at_exactly_the_rate_of_the_link_goes_round_for_ever():
    result = comparison.simgrid(scenario(writes_per_s=BANDWIDTH / 4096))
    assert not result.converges
    assert result.total_time_s >= 1e7


def test_cloudsim_uses_half_the_bandwidth_and_has_no_downtime():
    result = comparison.cloudsim(scenario(writes_per_s=1e6))
    assert (result.total_time_s, result.downtime_s, result.transferred_bytes) == (2 * 10.24, 0.0, RAM)


def test_cloudsim_without_power_model_adds_ten_seconds():
    assert comparison.cloudsim_plain(scenario()).total_time_s == 10.24 + 10.0


def test_cloudsim_mig_stops_below_half_a_second():
    result = comparison.cloudsim_mig(scenario(writes_per_s=BANDWIDTH / 4096 / 2))  # 0.8 D = 0.4 bandwidth
    rounds = [10.24 * 0.4**k for k in range(10)]
    last = next(k for k, t in enumerate(rounds) if t < 0.5)
    assert result.downtime_s == pytest.approx(rounds[last])
    assert result.total_time_s == pytest.approx(0.1 + sum(rounds[: last + 1]))


def test_cloudsim_mig_stops_when_a_round_leaves_more_than_it_sent():
    result = comparison.cloudsim_mig(scenario(writes_per_s=2 * BANDWIDTH / 4096))
    assert result.rounds == 2
    assert result.downtime_s == pytest.approx(1.6 * 10.24)


def test_btrplace_adds_the_hot_pages():
    bandwidth = BANDWIDTH * 8 / 9
    rate = 2.5 * 2**20
    expected = RAM / bandwidth + 5 * 2**20 / bandwidth * (1 + rate / (bandwidth - rate))
    assert comparison.btrplace(scenario()).total_time_s == pytest.approx(expected)
    assert not comparison.btrplace(scenario(bandwidth=2**20)).converges


def test_dcsim_uses_a_quarter_of_the_bandwidth():
    assert comparison.dcsim(scenario()).total_time_s == 4 * 10.24


def test_every_model_answers_by_name():
    for model in comparison.MODELS.values():
        assert model(scenario()).total_time_s >= 10.24
