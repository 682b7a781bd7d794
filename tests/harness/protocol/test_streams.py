"""Frames side by side: whatever ends a stream is known to whoever uses it next."""

import contextlib
import socket

import numpy as np
import pytest

from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import Connection
from migkit.harness.protocol.encoding.codec import Codec
from migkit.harness.protocol.links import Links
from migkit.harness.protocol.streams import Intake, Streams

PAGES = 16
PATIENCE_S = 30.0


class BrokenError(Exception):
    """Of no kind that the protocol knows."""


def fail(*_):
    raise BrokenError("broken inside")


def pair(codec=None):
    ours, theirs = socket.socketpair()
    return Connection(ours, codec), Connection(theirs)


@pytest.fixture
def memory():
    return np.random.default_rng(1).integers(1, 1 << 62, PAGES * page_loops.PAGE_WORDS)


def test_what_ends_a_frame_is_raised_at_the_next_use(memory):
    main, end = pair()
    lanes, ends = zip(*(pair(Codec(1, fail, fail)) for _ in range(2)), strict=True)
    streams = Streams(main.sender)
    streams.spread(lanes)
    streams.pages(memory, np.arange(PAGES), PAGES, 0)
    with pytest.raises(BrokenError, match="broken inside"):
        streams.drain()
    with pytest.raises(BrokenError, match="broken inside"):
        streams.flush()
    streams.close()
    for each in (main, end, *ends):
        each.close()


def test_what_ends_an_intake_ends_the_wait_for_a_round(memory):
    (main, main_end), (lane, end) = pair(), pair()
    with contextlib.closing(Intake([end], main_end, fail, PATIENCE_S)) as intake:
        lane.sender.pages(memory, np.arange(PAGES), PAGES, 0)
        with pytest.raises(BrokenError, match="broken inside"), intake.complete():
            pass
        with pytest.raises(wire.ConnectionLostError):  # whoever reads the first connection hears of it, too
            main_end.receiver.receive()
    for each in (main, main_end, lane):
        each.close()


def test_a_round_ends_when_all_streams_have_ended_it(memory):
    main, main_end = pair()
    lanes, ends = zip(*(pair() for _ in range(2)), strict=True)
    placed = []
    streams = Streams(main.sender)
    streams.spread(lanes)
    with contextlib.closing(Intake(ends, main_end, lambda frame: placed.append(frame.count), PATIENCE_S)) as intake:
        for _ in range(5):
            streams.pages(memory, np.arange(PAGES), PAGES, 0)
        streams.flush()
        with intake.complete(last=True):
            assert placed == [PAGES] * 5
        assert intake.failure is None
    streams.close()
    for each in (main, main_end):
        each.close()


def test_all_connections_that_were_made_are_closed_together(monkeypatch):
    made = [pair() for _ in range(3)]
    dialled = iter(ours for ours, _ in made)
    monkeypatch.setattr("migkit.harness.protocol.links.dial", lambda *_: next(dialled))
    with contextlib.closing(Links({}, PAGES * page_loops.PAGE_WORDS * 8, None)) as links:
        for purpose in ("migration", "recovery", "demands"):
            links.dial(purpose)
    assert [ours.socket.fileno() for ours, _ in made] == [-1] * 3
    for _, theirs in made:
        theirs.close()
