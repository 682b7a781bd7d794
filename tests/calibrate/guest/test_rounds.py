import gzip
import json

import numpy as np
import pytest

from migkit.calibrate import conditions
from migkit.calibrate.guest import rounds
from migkit.importers import read, read_reference
from migkit.traces import data, io
from migkit.units import MIB

CONVERGENT = data.data_path("kvm_database/precopy-4t-2.json.gz")


@pytest.fixture(scope="module")
def log():
    return read(CONVERGENT)[0]


def thinned(every):
    lines = gzip.decompress(CONVERGENT.read_bytes()).decode().splitlines()
    return read("\n".join(lines[::every]) + "\n")[0]


def test_marked_pages_are_exact_however_rarely_the_log_was_read(log):
    often = rounds.of_log(log)
    total = sum(r.marked_pages * r.syncs for r in often.rounds)
    rarely = rounds.of_log(thinned(7))
    assert sum(r.marked_pages * r.syncs for r in rarely.rounds) <= total
    assert rarely.rounds[0].marked_pages == often.rounds[0].marked_pages == 67589


def test_the_period_that_qemu_counted_places_a_sync_between_readings(log):
    first = rounds.of_log(log).rounds[0]
    assert first.window_s == pytest.approx(67589 / 4693, abs=0.02)
    assert first.window_error_s <= 0.01


def test_what_was_pending_is_what_was_left_before_the_marks(log):
    for one in rounds.of_log(log).rounds:
        assert 0 <= one.pending_pages <= one.to_send_pages
        assert one.pending_pages * 4096 < 0.3 * 134.5e6 * 1.1  # QEMU syncs below the threshold


def test_zero_pages_of_the_first_pass_include_those_pending_at_its_sync(log):
    found = rounds.of_log(log)
    at_the_sync = log.frame.loc[log.frame["iteration"] > 1, "zero_pages"].iloc[0]
    assert at_the_sync < found.zero_pages <= log.frame["zero_pages"].iloc[-1]
    assert found.zero_pages == 1625857
    assert 0.01 < found.zero_again < 0.05


@pytest.mark.parametrize(("name", "pages"), [("a3-q10-0", 14_900), ("a6-q10-0", 26_700)])
def test_uncounted_zero_pages_at_the_end_of_the_first_pass_do_not_hide_what_its_sync_marked(name, pages):
    # 15,000 random writes a second to 32,768 pages for 1.34 s; a sweep of 12,000 pages a second for 2.23 s
    log = read_reference(name)
    log.meta["totals"]["total_bytes"] = 512 * MIB
    first = rounds.of_log(log).rounds[0]
    assert first.marked_pages == pytest.approx(pages, rel=0.03)


def test_a_log_that_begins_in_the_middle_counts_from_its_first_sync(log):
    lines = gzip.decompress(CONVERGENT.read_bytes()).decode().splitlines()
    late = [line for line in lines if json.loads(line)["query_migrate"].get("ram", {}).get("dirty-sync-count", 0) > 1]
    found = rounds.of_log(read("\n".join(late) + "\n")[0])
    assert all(r.window_s < 3 for r in found.rounds)


def test_one_reading_without_a_rate_tells_the_mean_round():
    line = [line for line in gzip.decompress(CONVERGENT.read_bytes()).decode().splitlines() if '"ram"' in line][-1]
    found = rounds.of_log(read(line + "\n")[0])
    (one,) = found.rounds
    assert one.marked_pages * 6 == pytest.approx(566740 + 1628930 - 2101458)
    assert one.window_s == pytest.approx(17.113 / 6)
    assert found.memory_bytes == 8607571968


@pytest.mark.parametrize("at", [260, 376, 400])
def test_one_reading_of_a_stuck_migration_tells_its_short_rounds_at_their_rate(at):
    path = data.data_path("kvm_database/precopy-16t-1.json.gz")
    line = gzip.decompress(path.read_bytes()).decode().splitlines()[at - 1] + "\n"
    (one,) = rounds.of_log(read(line)[0]).rounds
    answer = json.loads(line)["query_migrate"]
    steady = [r for r in rounds.of_log(read(path)[0]).rounds[1:] if r.start_s < answer["total-time"] / 1e3]
    mean_s = sum(r.window_s * r.syncs for r in steady) / sum(r.syncs for r in steady)
    assert one.window_s == pytest.approx(mean_s, rel=0.1)
    assert one.marked_pages == pytest.approx(answer["ram"]["dirty-pages-rate"] * one.window_s)


def test_the_first_pass_is_no_steady_round():
    log = "Time elapsed: 603214 ms\nMemory processed: 73.210 GiB\nMemory remaining: 6.905 GiB\n"
    log = (
        f"Job type: Unbounded\nOperation: Outgoing migration\n{log}Memory total: 64.016 GiB\nPage size: 4096 bytes\n"
    )
    log += "Dirty rate: 76800 pages/s\nIteration: 9\nConstant pages: 1234567\nNormal pages: 19000000\n"
    (one,) = rounds.of_log(read(log)[0]).rounds
    assert one.window_s == pytest.approx((603 - 474) / 8, rel=0.2)


def test_a_dirty_rate_alone_is_a_reading_of_the_shortest_window():
    ram = '{"total": 68719476736, "transferred": 13421772800, "remaining": 60000000000, "dirty-pages-rate": 76800, '
    ram += '"dirty-sync-count": 1, "page-size": 4096, "normal": 3270000, "duplicate": 10000}'
    found = rounds.of_log(read(f'{{"status": "active", "total-time": 100000, "ram": {ram}}}\n')[0])
    assert [(r.window_s, r.marked_pages) for r in found.rounds] == [(1.0, 76800.0)]
    assert "over how long it was counted" in found.cannot_tell[0]


def test_a_trace_tells_its_own_rounds():
    trace = io.read(data.data_path("traces/fast.parquet"))
    found = rounds.of_trace(trace)
    marked = trace.rounds.column("marked_pages").to_pylist()
    assert [r.marked_pages for r in found.rounds] == marked[1 : len(found.rounds) + 1]
    assert found.zero_pages == trace.rounds.column("zero_pages")[0].as_py()


def test_conditions_tell_the_limit_and_that_the_speed_was_held(log):
    held = conditions.of_log(log)
    assert held.downtime_limit_s == 0.3
    assert held.steady
    assert held.speed_bytes_per_s == pytest.approx(135e6, rel=0.01)
    assert not held.throttled
    assert np.isinf(held.postcopy_s)


def test_zero_pages_that_leave_no_room_for_what_was_written_are_not_told():
    """Zero pages count in every round in which they are sent; a single reading late in a migration has them all."""
    ram = {"total": 4096 * 10_000, "remaining": 4096 * 500, "normal": 20_000, "duplicate": 7000}
    ram |= {"transferred": 81_000_000, "dirty-sync-count": 6, "page-size": 4096, "dirty-pages-rate": 400}
    (log,) = read(json.dumps({"status": "active", "total-time": 60_000, "ram": ram}) + "\n")
    told = rounds.of_log(log)
    assert told.rounds[0].marked_pages > 3000
    assert np.isnan(told.zero_pages)
    assert any("how much of the memory is zero" in line for line in told.cannot_tell)


def test_a_cap_as_large_as_it_can_be_is_none():
    (log,) = read(
        '{"max-bandwidth": 9223372036853727232, "downtime-limit": 300}\n{"status": "active", "ram": {"remaining": 1}}'
    )
    assert np.isnan(conditions.of_log(log).cap_bytes_per_s)
