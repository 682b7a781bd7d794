"""Max-min shares: two ways to work them out agree, and each is max-min."""

import numpy as np

from migkit.planning import check
from migkit.planning.drain import sharing


def kernel_shares(outlet, inlet, demand, capacity):
    size, links = len(demand), len(capacity)
    floats = {name: np.zeros(size) for name in ("share", "speed", "progress", "start", "end", "sent")}
    live = sharing.Live(
        host=None, inlet=np.array(inlet), free=None, members=None, slots=None, load=None, number=None, need=None,
        left=np.zeros(links), flows=np.zeros(links), used=np.zeros(links, dtype=np.int64),
        growing=np.zeros(size, dtype=np.int64), **floats,
    )  # fmt: skip
    case = sharing.Case(**dict.fromkeys(sharing.Case._fields))._replace(
        outlet=np.array(outlet), demand=np.array(demand), capacity=np.array(capacity)
    )
    sharing.max_min(np.arange(size), size, case, live)
    return live.share


def test_equal_parts_and_what_others_leave():
    assert kernel_shares([0, 0], [1, 2], [9.0, 9.0], [8.0, 9.0, 9.0]).tolist() == [4.0, 4.0]
    assert kernel_shares([0, 0], [1, 2], [1.0, 9.0], [8.0, 9.0, 9.0]).tolist() == [1.0, 7.0]
    assert kernel_shares([0, 0, 3], [1, 2, 2], [9.0] * 3, [8.0, 9.0, 2.0, 9.0]).tolist() == [7.0, 1.0, 1.0]


def test_random_networks_are_shared_max_min():
    draw = np.random.default_rng(5)
    for _ in range(200):
        hosts, size = int(draw.integers(2, 6)), int(draw.integers(1, 12))
        outlet = draw.integers(0, hosts, size)
        inlet = hosts + draw.integers(0, hosts, size)
        capacity = draw.uniform(1, 10, 2 * hosts)
        demand = draw.uniform(0.2, 8, size)
        share = kernel_shares(outlet, inlet, demand, capacity)
        load = np.bincount(outlet, share, 2 * hosts) + np.bincount(inlet, share, 2 * hosts)
        assert (load <= capacity * (1 + 1e-7)).all()
        assert (share <= demand * (1 + 1e-9)).all()
        for m in range(size):
            full = [link for link in (outlet[m], inlet[m]) if load[link] >= capacity[link] * (1 - 1e-7)]
            rivals = [max(share[k] for k in range(size) if link in (outlet[k], inlet[k])) for link in full]
            assert any(share[m] >= most - 1e-7 for most in rivals) or share[m] >= demand[m] * (1 - 1e-7)
        ways = [(("out", f"{a}"), ("in", f"{b}")) for a, b in zip(outlet, inlet, strict=True)]
        carries = {way: capacity[int(way[1])] for pair in ways for way in pair}
        other = check._max_min(list(range(size)), ways, carries, demand.tolist())
        assert np.allclose(share, other, rtol=1e-6)
