"""Samples and rounds from answers of ``query-migrate``, against a migration worked out by hand."""

import pytest

from migkit.qemu.recording import Recorder, Sample
from migkit.units import PAGE_BYTES

PAGES = 1000
MS = 10**6


def answer(status, sent, left, syncs, zero=0):
    ram = {
        "transferred": sent * 4104 + zero * 9,
        "remaining": left * PAGE_BYTES,
        "normal": sent,
        "duplicate": zero,
        "dirty-sync-count": syncs,
    }
    return {"status": status, "ram": ram}


def recorded(unheard=()):
    """First pass of 900 full and 100 zero pages; a sync at 100 ms marks 50, the last at 120 ms marks 10."""
    recorder = Recorder(PAGES * PAGE_BYTES, start_ns=0, writes=0)
    rows = [
        (0, None),
        (1, answer("active", 0, PAGES, 1)),
        (50, answer("active", 450, PAGES - 450, 1)),
        (99, answer("active", 900, 0, 1, zero=100)),
        (101, answer("active", 900, 50, 2, zero=100)),
        (119, answer("active", 940, 10, 2, zero=100)),
        (121, answer("device", 940, 20, 3, zero=100)),
        (130, answer("completed", 960, 0, 3, zero=100)),
    ]
    for at_ms, said in rows:
        recorder.note(Sample(time_ns=at_ms * MS, answer=said or {"status": "setup"}, writes=at_ms))
    for number, at_ms in enumerate((1, 100, 120), 1):
        if number not in unheard:
            recorder.sync(number, at_ms * MS)
    return recorder


def test_rounds_hold_what_was_marked_and_sent():
    rounds = recorded().rounds_table(130 * MS, (119 * MS, 140 * MS)).to_pydict()
    assert rounds["iteration"] == [1, 2, 3]
    assert rounds["marked_pages"] == [PAGES, 50, 10]
    assert rounds["normal_pages"] == [900, 40, 20]
    assert rounds["zero_pages"] == [100, 0, 0]
    assert rounds["remaining_bytes"] == [PAGES * PAGE_BYTES, 50 * PAGE_BYTES, 20 * PAGE_BYTES]
    assert sum(rounds["sent_bytes"]) == recorded().transferred_bytes == 960 * 4104 + 900
    assert [round(1e3 * each) for each in rounds["guest_running_s"]] == [99, 19, 0]


@pytest.mark.parametrize("unheard", [(1,), (3,), (1, 2), (1, 2, 3)])
def test_a_sync_without_an_event_was_when_an_answer_knew_of_it(unheard):
    def rounds(recorder):
        return recorder.rounds_table(130 * MS, (119 * MS, 140 * MS)).to_pydict()

    all_heard, some = rounds(recorded()), rounds(recorded(unheard))
    for name in ("iteration", "marked_pages", "zero_pages"):
        assert some[name] == all_heard[name]
    assert sum(some["normal_pages"]) == sum(all_heard["normal_pages"])
    apart_s = [abs(one - other) for one, other in zip(some["start_s"], all_heard["start_s"], strict=True)]
    assert max(apart_s) <= 0.002


def test_samples_count_what_syncs_marked_without_the_first():
    samples = recorded().samples_table().to_pydict()
    assert samples["dirtied_pages"] == [0, 0, 0, 0, 0, 50, 50, 60, 60]
    assert samples["phase"][:3] == ["setup", "setup", "precopy"]
    assert samples["remaining_bytes"][:2] == [PAGES * PAGE_BYTES] * 2


def test_what_the_last_sync_before_the_stop_left():
    assert recorded().left_at_last_sync_before(119 * MS) == 50 * PAGE_BYTES
    assert recorded().left_at_last_sync_before(0) == PAGES * PAGE_BYTES


def test_syncs_closer_than_two_samples_lose_no_page():
    recorder = Recorder(PAGES * PAGE_BYTES, start_ns=0, writes=0)
    for at_ms, said in ((1, answer("active", 0, PAGES, 1)), (9, answer("active", PAGES, 7, 3))):
        recorder.note(Sample(time_ns=at_ms * MS, answer=said))
    for number, at_ms in enumerate((1, 7, 8), 1):
        recorder.sync(number, at_ms * MS)
    rounds = recorder.rounds_table(10 * MS, (10 * MS, 10 * MS)).to_pydict()
    assert sum(rounds["marked_pages"]) == PAGES + 7
    assert sum(rounds["normal_pages"]) == PAGES


def test_a_long_migration_is_looked_through_a_few_times_and_not_once_for_each_sample():
    looked = []

    class Counted(dict):
        def get(self, name, otherwise=None):
            looked.append(name)
            return super().get(name, otherwise)

    number, rounds = 2000, 200
    recorder = Recorder(PAGES * PAGE_BYTES, start_ns=0, writes=0)
    for at in range(1, number):
        recorder.note(Sample(time_ns=at * MS, answer=Counted(answer("active", at, PAGES, at * rounds // number))))
    assert recorder.samples_table().num_rows == number
    assert recorder.rounds_table(number * MS, (number * MS, number * MS)).num_rows == rounds - 1
    assert recorder.transferred_bytes == (number - 1) * 4104
    assert len(looked) < 20 * number
