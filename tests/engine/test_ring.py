"""Arcs that sweeps write: page by page, and in the engine against the page-level simulator, which is then exact."""

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Policy, Scenario, predict, simulate
from migkit.engine import guest as guest_engine
from migkit.engine import run_state
from migkit.engine.records import PackedClass, Run, Work
from migkit.models import goodput

MIB = 2**20
PAGES = 1000


def pieces(run, work):
    """Return the pieces in the order in which they are sent: first page, pages, pending share."""
    ring = [work.pieces[(int(run.head) + i) & run_state.LAST_PIECE] for i in range(int(run.pieces))]
    return [(round(one.first_page), round(one.pages), one.share) for one in ring if one.segment == 0]


@pytest.mark.parametrize("grain", [1, 16])
def test_arcs_are_those_of_a_bitmap_whatever_is_sent_in_between(grain):
    region = DirtyClass(region_bytes=PAGES * 4096, writes_per_s=1.0, kind="sweep")
    guest = Guest(memory_bytes=PAGES * 4096, dirty=(region,), tracking_bytes=grain * 4096)
    packed = goodput.packed(Scenario(guest=guest))[0]
    one, _, steps, _ = packed.of_one()
    run, work = Run.new(), Work.new()
    work.segments[0][: PackedClass.SIZE] = packed.classes
    run.pieces = run.is_plain = 1.0
    run.most_pieces = run_state.FEW_PIECES
    run.left_pages = PAGES
    work.pieces[0].pages, work.pieces[0].share = PAGES, 1.0
    bitmap, position = np.ones(PAGES), 0
    rng = np.random.default_rng(grain)
    for _ in range(300):
        pending = [page for first, pages, share in pieces(run, work) if share for page in range(first, first + pages)]
        sent = int(rng.integers(0, len(pending), endpoint=True))
        bitmap[pending[:sent]] = 0.0
        run.passed_pages = sent
        run.left_pages -= sent
        writes = int(rng.integers(0, 700))
        for page in (position + np.arange(writes)) % PAGES:
            bitmap[page // grain * grain : page // grain * grain + grain] = 1.0
        position = (position + writes) % PAGES
        run.now_s += writes
        guest_engine.mark(one, steps, run, work)
        shares = np.full(PAGES, np.nan)
        for first, pages, share in pieces(run, work):
            shares[first : first + pages] = share
        np.testing.assert_array_equal(shares, bitmap)
        assert run.left_pages == pytest.approx(bitmap.sum(), abs=1e-9)


@pytest.mark.parametrize(
    "writes_per_s",
    [4000.0, 12_000.0, *(pytest.param(rate, marks=pytest.mark.compiled) for rate in (14_500.0, 20_000.0))],
)
@pytest.mark.parametrize("offset_bytes", [0, 48 * MIB])
def test_a_sweep_near_the_bandwidth_is_followed_exactly(writes_per_s, offset_bytes):
    region = DirtyClass(
        region_bytes=64 * MIB, writes_per_s=writes_per_s, kind="sweep", sweep_offset_bytes=offset_bytes
    )
    rule = Policy(name="qemu-7", max_bandwidth_bytes_per_s=6e7, downtime_limit_s=0.3, time_limit_s=20.0)
    case = Scenario(guest=Guest(memory_bytes=128 * MIB, dirty=(region,)), policy=rule, host=Host())
    predicted, simulated = predict(case, level=None), simulate(case).runs[0]
    assert predicted.verdict == simulated.verdict
    assert predicted.iterations == simulated.iterations
    assert predicted.total_time_s == pytest.approx(simulated.total_time_s, rel=1e-3)
    assert predicted.transferred_bytes == pytest.approx(simulated.transferred_bytes, rel=1e-3)


def test_more_sweeps_than_the_ring_has_room_for_are_averaged():
    dirty = tuple(
        DirtyClass(region_bytes=MIB, writes_per_s=50.0 + 7 * k, kind="sweep", sweep_offset_bytes=k * 20_000)
        for k in range(48)
    )
    rule = Policy(name="qemu-7", max_bandwidth_bytes_per_s=3e7, downtime_limit_s=0.05, time_limit_s=20.0)
    case = Scenario(guest=Guest(memory_bytes=64 * MIB, dirty=dirty), policy=rule)
    predicted, simulated = predict(case, level=None), simulate(case).runs[0]
    assert predicted.verdict == simulated.verdict
    assert predicted.transferred_bytes == pytest.approx(simulated.transferred_bytes, rel=0.03)
