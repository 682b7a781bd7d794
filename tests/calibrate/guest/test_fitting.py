import dataclasses
import math

import pyarrow as pa
import pytest

from migkit.calibrate.guest import readings, rounds
from migkit.calibrate.guest.curve import fit_curve
from migkit.calibrate.guest.fitting import fit_guest
from migkit.calibrate.guest.growth import new_pages_per_s
from migkit.calibrate.guest.rounds import Observed, Round
from migkit.calibrate.guest.stationary import fit_while_loaded
from migkit.errors import UsageError
from migkit.importers import read
from migkit.models.dirty import unique_dirty_pages
from migkit.models.predict import predict
from migkit.scenario import DirtyClass, Guest, Host, Strategy
from migkit.traces import data, io
from migkit.units import MIB

HOT, COLD = (2000.0, 3.0), (40_000.0, 0.02)  # pages, writes to each a second


def made(windows, ratio=lambda t: 1.0, pending=0.3):
    """Return the rounds of a guest of two classes, of which a share is pending at each sync."""
    start_s, dirty, to_send, out = 0.0, (1.0, 1.0), 100_000.0, []
    for w in windows:
        left = pending if out else 0.05
        seen = [-math.expm1(-x * w) for _, x in (HOT, COLD)]
        shares = [d * left for d in dirty]
        marked = sum(n * (1 - q) * u for (n, _), q, u in zip((HOT, COLD), shares, seen, strict=True))
        out.append(
            Round(
                start_s=start_s,
                window_s=w,
                window_error_s=0.001,
                marked_pages=marked * ratio(start_s),
                to_send_pages=to_send,
                pending_pages=to_send * left,
            )
        )
        dirty = tuple(q + (1 - q) * u for q, u in zip(shares, seen, strict=True))
        to_send = to_send * left + marked
        start_s += w
    return out


WINDOWS = (20.0, 8.0, 4.0, 2.0, 1.0, 0.7, 0.5, 0.4, 0.3, 0.3, 0.3, 0.3)


def curve(found, window_s):
    pairs = zip(found.pages, found.rates_per_s, strict=True)
    return sum(n * -math.expm1(-x * window_s) for n, x in pairs)


@pytest.mark.parametrize("window_s", [0.3, 1.0, 4.0, 20.0])
def test_the_curve_is_found_although_pending_pages_are_not_seen(window_s):
    true = sum(n * -math.expm1(-x * window_s) for n, x in (HOT, COLD))
    assert curve(fit_curve(made(WINDOWS), 1e6), window_s) == pytest.approx(true, rel=0.06)


def test_one_bad_window_loses_its_weight():
    rounds_ = made(WINDOWS)
    rounds_[4] = dataclasses.replace(rounds_[4], marked_pages=5 * rounds_[4].marked_pages)
    found = fit_curve(rounds_, 1e6)
    assert found.weights[4] < 0.3
    assert curve(found, 4.0) == pytest.approx(curve(fit_curve(made(WINDOWS), 1e6), 4.0), rel=0.1)


def test_classes_never_exceed_the_memory():
    assert sum(fit_curve(made(WINDOWS), 20_000).pages) <= 20_000 * (1 + 1e-6)


def test_a_stationary_guest_is_said_nothing_of():
    assert fit_while_loaded(made(WINDOWS * 3), 1e6, [1.0] * 36)[2].said == ()


def test_the_end_of_the_load_is_found_and_left_out():
    windows = (20.0, 8.0, 4.0, 2.0) + (0.5,) * 30
    ended = made(windows, lambda t: 1.0 if t < 44 else 0.2)
    _, kept, changes = fit_while_loaded(ended, 1e6, [1.0] * len(ended))
    assert changes.ended_s == pytest.approx(44.0, abs=0.6)
    assert len(kept) == sum(r.start_s < 44 for r in ended)
    assert "load fell" in changes.said[0]


def test_growth_is_said():
    windows = (0.5,) * 60
    _, _, changes = fit_while_loaded(made(windows, lambda t: 0.6 + 0.03 * t), 1e6, [1.0] * 60)
    assert any("Not stationary" in line and "grew" in line for line in changes.said)


def test_phases_are_found_with_their_lengths_and_levels():
    windows = (0.5,) * 80
    _, _, changes = fit_while_loaded(made(windows, lambda t: 1.6 if t % 8 < 4 else 0.4), 1e6, [1.0] * 80)
    (high_s, high), (low_s, low) = changes.phases
    assert high_s == pytest.approx(4.0, abs=0.6)
    assert low_s == pytest.approx(4.0, abs=0.6)
    assert high / low == pytest.approx(4.0, rel=0.3)


def test_logs_of_unlike_memory_are_refused():
    ones = [
        Observed(memory_bytes=n * MIB, zero_pages=0, rounds=tuple(made(WINDOWS)), first_pass=True) for n in (1, 2)
    ]
    with pytest.raises(UsageError, match=r"unlike memory \(1 MiB, 2 MiB\)"):
        fit_guest(ones)


def test_a_log_without_a_sync_says_what_to_log():
    one = Observed(memory_bytes=2**30, zero_pages=0, rounds=(), first_pass=False)
    with pytest.raises(UsageError, match="no log says what a bitmap sync marked"):
        fit_guest([one])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("200 MiB/s", "no rate and window"),
        ("200 in 1 s", "unit"),
        ("200 MiB/s in 0 s", "window of 0 s"),
        ("1 s in 200 MiB/s", "not a unit of time"),
    ],
)
def test_a_reading_that_is_none_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        readings.of_text(text)


def test_a_reading_above_the_memory_is_refused():
    with pytest.raises(UsageError, match="only 100 MiB of memory are not zero"):
        fit_guest([], [readings.of_text("200 MiB/s in 1 s")], memory_bytes=100 * MIB)


def test_every_guest_of_the_family_gives_the_reading():
    reading = readings.of_text("200 MiB/s in 2 s")
    members = readings.family(reading, 8 * 1024 * MIB, 1024 * MIB)
    for member in members:
        assert unique_dirty_pages(member.guest, 2.0) == pytest.approx(reading.pages, rel=0.01)
    assert len({m.guest.dirty[0].region_pages for m in members if m.guest.dirty[0].kind == "random"}) == 5


def test_one_reading_leaves_the_verdict_open_and_two_more_windows_close_it():
    one = fit_guest([], [readings.of_text("200 MiB/s in 1 s")], memory_bytes=8 * 1024 * MIB)
    assert len(one.family) == 6
    assert one.reading is not None
    true = Guest(memory_bytes=8 * 1024 * MIB, dirty=(DirtyClass(region_bytes=208 * MIB, writes_per_s=173_000.0),))
    windows = [readings.Reading(w, unique_dirty_pages(true, w)) for w in (0.3, 1.0, 60.0)]
    more = fit_guest([], windows, memory_bytes=8 * 1024 * MIB)
    assert not more.family
    for window_s in (0.3, 1.0, 10.0, 60.0):
        found, wanted = unique_dirty_pages(more.guest, window_s), unique_dirty_pages(true, window_s)
        assert found == pytest.approx(wanted, rel=0.1)


def test_windows_to_measure_next_are_ones_that_qemu_takes_and_no_window_again():
    short, long, outside = readings.commands(readings.Reading(500.0, 9.0), 0.3, 64.0)
    assert '"calc-time": 300' in short
    assert 2 <= int(long.split("--seconds ")[1].split()[0]) <= 60
    assert "migkit dirty --pid" in outside


@pytest.mark.parametrize("run", [1, 2, 8])
def test_a_guest_that_did_not_converge_under_load_is_said_not_to(run):
    log = read(data.data_path(f"kvm_database/precopy-16t-{run}.json.gz"))[0]
    guest = fit_guest([rounds.of_log(log)]).guest
    assert predict(guest=guest, host=Host(firmware_bytes=0), level=None).verdict == "does_not_converge"


def test_a_fit_predicts_another_run():
    log = read(data.data_path("kvm_database/precopy-4t-3.json.gz"))[0]
    guest = fit_guest([rounds.of_log(log)]).guest
    host = Host(firmware_bytes=0, zero_page_cpu_s=0.0)
    assert predict(guest=guest, host=host, level=None).total_time_s == pytest.approx(17.115, rel=0.015)


def observed(name):
    return rounds.of_log(read(data.data_path(f"kvm_database/{name}.json.gz"))[0])


def test_a_quick_pass_tells_what_is_zero_at_the_start_and_a_slow_one_how_fast_it_fills():
    slow, quick = observed("precopy-4t-4"), observed("postcopy-4t-1")
    fit = fit_guest([slow, quick])
    *rest, grows = fit.guest.dirty
    assert grows.kind == "growth"
    assert fit.guest.zero_pages + grows.region_pages == quick.zero_pages
    assert grows.region_pages == pytest.approx(grows.writes_per_s * slow.counted_s, abs=1.0)
    assert grows.region_pages <= 1.2 * (quick.zero_pages - slow.zero_pages)
    assert any("zero pages" in line for line in fit.said)
    assert not any(line.startswith("growth") for line in fit.cannot_tell)
    assert all(one.kind != "growth" for one in rest)


def test_a_guest_fills_no_faster_than_it_writes_to_new_pages():
    """More than that is how the zero pages of one run differ from those of the next."""
    slow, quick = observed("precopy-4t-1"), observed("postcopy-4t-1")
    most = new_pages_per_s(fit_guest([slow]).guest.dirty, slow.counted_s)
    assert (quick.zero_pages - slow.zero_pages) / slow.counted_s > most
    assert fit_guest([slow, quick]).guest.dirty[-1].writes_per_s == pytest.approx(most, rel=0.05)


@pytest.mark.parametrize(("slow", "quick"), [("precopy-4t-4", "precopy-4t-5"), ("precopy-4t-4", "postcopy-4t-5")])
def test_passes_that_take_alike_or_find_more_zero_pages_tell_no_growth(slow, quick):
    pair = [observed(slow), dataclasses.replace(observed(quick), zero_pages=1_600_000.0)]
    assert all(one.kind != "growth" for one in fit_guest(pair).guest.dirty)


def test_zero_pages_that_are_stated_are_taken_as_they_are():
    fit = fit_guest([observed("precopy-4t-4"), observed("postcopy-4t-1")], zero_bytes=2**30)
    assert fit.guest.zero_bytes == 2**30
    assert all(one.kind != "growth" for one in fit.guest.dirty)


def test_bytes_of_a_post_copy_follow_from_a_slow_pass_and_a_quick_one():
    pair = [observed("precopy-4t-1"), observed("postcopy-4t-1")]
    strategy = Strategy(name="hybrid", postcopy_after_s=0.201)
    both, slow = (
        predict(fit_guest(some).guest, host=Host(firmware_bytes=0), strategy=strategy, level=None).transferred_bytes
        for some in (pair, pair[:1])
    )
    assert both == pytest.approx(1.922e9, rel=0.02)  # the fourth run
    assert slow > 1.04 * 1.922e9


def test_only_a_migration_that_sends_each_page_once_tells_how_long_zero_pages_were_counted():
    assert observed("postcopy-4t-1").counted_s == pytest.approx(1.859)
    assert observed("precopy-4t-1").counted_s == pytest.approx(14.8, abs=0.1)
    totals = read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0]
    rare = dataclasses.replace(totals, frame=totals.frame.tail(1).reset_index(drop=True))
    assert math.isnan(rounds.of_log(rare).counted_s)


def test_what_is_zero_when_it_is_sent_again_is_a_share_of_the_classes():
    seen = Observed(memory_bytes=2**30, zero_pages=200_000.0, rounds=tuple(made(WINDOWS)), first_pass=True)
    full = fit_guest([seen]).guest
    emptied = fit_guest([dataclasses.replace(seen, zero_again=0.8)])
    assert {one.zero_share for one in emptied.guest.dirty} == {0.8}
    assert "80% of what is sent again is zero when it is sent" in emptied.said
    assert unique_dirty_pages(emptied.guest, 1.0) == pytest.approx(unique_dirty_pages(full, 1.0), rel=0.02)
    zero = emptied.guest.zero_pages + sum(one.zero_share * one.region_pages for one in emptied.guest.dirty)
    assert zero == pytest.approx(200_000, abs=len(emptied.guest.dirty))


def test_a_trace_tells_which_pages_were_zero_when_they_were_sent_again():
    trace = io.read(data.data_path("traces/slow.parquet"))
    told = rounds.of_trace(trace)
    assert told.zero_again == 0.0
    table = trace.rounds.to_pandas()
    table.loc[1:, "zero_pages"] = 3 * table.loc[1:, "normal_pages"] + 3 * told.rounds[0].pending_pages
    emptied = dataclasses.replace(
        trace, rounds=pa.Table.from_pandas(table, trace.rounds.schema, preserve_index=False)
    )
    assert 0.6 < rounds.of_trace(emptied).zero_again <= 0.8
