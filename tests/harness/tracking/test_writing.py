"""A program that is followed beat by beat: each beat has exactly its pages, and the zero ones are known."""

import numpy as np
import pytest

from migkit.harness.tracking import writing
from migkit.harness.tracking.program import WriteProtectedProcess
from migkit.harness.tracking.writing import Writing


@pytest.fixture
def followed(plain_writer):
    """The writer, and its memory alone as it is followed; a page of it is written before."""
    process = WriteProtectedProcess(plain_writer.process.pid)
    process.counts = lambda mapping: mapping.start <= plain_writer.address < mapping.end
    plain_writer.write(2)
    with process:
        yield plain_writer, Writing(process, beat_s=0.02)


@pytest.mark.live
def test_each_beat_has_the_pages_written_in_it(followed):
    writer, seen = followed
    assert seen.pages == writer.pages
    for pages in ([3, 4, 5, 900], [], [5, 6], [5]):
        writer.write(*pages)
        assert seen.beat().pages.tolist() == pages


@pytest.mark.live
def test_what_holds_something_is_not_zero_from_then_on(followed):
    writer, seen = followed
    assert seen.sample.tolist() == list(range(writer.pages))
    assert np.flatnonzero(~seen.zero).tolist() == [2]
    writer.write(7)
    first = seen.beat()
    writer.write(7, 8)
    assert np.flatnonzero(~first.zero).tolist() == [2, 7]
    assert np.flatnonzero(~seen.beat().zero).tolist() == [2, 7, 8]


@pytest.mark.live
def test_beats_end_one_behind_the_other(followed):
    _, seen = followed
    ends_s = [seen.beat().end_s for _ in range(5)]
    assert np.diff([0.0, *ends_s]).min() > 0.01


@pytest.mark.live
def test_a_program_that_writes_much_is_met_less_often(followed, monkeypatch):
    """It meets 100 protected pages a second at most; what beats no longer show is counted within them."""
    writer, seen = followed
    monkeypatch.setattr(writing, "_FAULTS_PER_S", 100.0)
    lengths_s, last_s = [], 0.0
    for _ in range(6):
        writer.write(*range(20))
        beat = seen.beat()
        lengths_s.append(beat.end_s - last_s)
        last_s = beat.end_s
    assert lengths_s[-1] > 0.15
    assert 20 / lengths_s[-1] < 130.0
    assert [pages for _, pages in beat.within] == [20] * len(beat.within)
    assert [window_s for window_s, _ in beat.within] == pytest.approx([0.02, 0.04, 0.08], abs=0.01)


@pytest.mark.live
def test_a_beat_lasts_no_longer_than_a_second_however_much_is_written(followed, monkeypatch):
    writer, seen = followed
    monkeypatch.setattr(writing, "_FAULTS_PER_S", 1.0)
    for _ in range(8):
        writer.write(*range(20))
        seen.beat()
    assert seen._beat_s == 1.0


def test_a_sample_is_spread_over_all_pages():
    spread = writing._spread(1 << 20, 4096)
    assert spread.size == pytest.approx(4096, rel=0.01)
    assert np.diff(spread).max() < 1000
    assert writing._spread(100, 4096).tolist() == list(range(100))
