"""Records that the page-level simulator works on, and room for one run of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from migkit.engine.packing import Packed
from migkit.engine.records import MAX_SEGMENTS, Counts, PackedClass, Slices
from migkit.jit import rows
from migkit.policies import decision
from migkit.policies.record import Parameters, State
from migkit.records import Record, several

__all__ = ["CachedPage", "Film", "Guest", "Room", "Sending", "Shutter", "Watch", "Writer", "new_film", "room"]


class Writer(PackedClass):
    """A page class of the guest, and how far its writes are."""

    first_page: float  # of its region
    cursor_pages: float  # sweep: next page of the region
    carried_writes: float  # fraction of a write not yet made
    fresh_pages: float  # pages of which a write would change what is known
    writes: float  # made so far
    fresh_page: float  # the one that is written next
    # In post-copy
    missing_pages: float  # of its region
    accesses_due: float  # before it comes to a missing page: for random ones, as if all pages were missing
    missing_page: float  # sweep: the one ahead, within the region


class Guest(Record):
    """The guest as it runs."""

    until_s: float  # writes are made up to this time
    lost_s: float  # progress lost to throttling and write faults
    throttle: float  # that is ordered
    recent_pages: float  # distinct ones written since dirty-limit last counted
    degraded_s: float  # time in which the guest was throttled
    slices: Slices
    overdrawn_s: float  # running time that the last slice used of the next one
    work: float  # that the simulation costs: 1 for a page drawn
    region_pages: float  # of all regions together
    writers: several(Writer, MAX_SEGMENTS)  # type: ignore[valid-type]


class Sending(Record):
    """The sender as it goes on."""

    now_s: float
    left_pages: float  # pending
    pointer: float  # the address at which the scan goes on [pages]
    sent_bytes: float  # on the wire so far
    normal_pages: float  # sent in full so far
    zero_pages: float  # sent so far
    window_start_s: float
    window_bytes: float
    check_s: float  # when the sender looks at the rule next, if the quota does not bind
    path_bytes_per_s: float  # at present
    change_s: float  # when that ends
    synced_bytes: float  # on the wire by the last sync
    marked_pages: float  # by all syncs
    rounds: float  # rows written so far
    points: float
    stopped_s: float  # when the guest stopped
    final_pages: float  # pending after the last sync
    syncs: float  # so far; differences are sent from the second one on, 0: not any more
    difference_pages: float  # sent so far
    saved_bytes: float  # what they were shorter than full pages
    rest_pages: float  # post-copy: once less is pending, the cap holds no longer; infinite: it does not
    began_bytes: float  # on the wire when the window began
    behind_demand: float  # the address at which the push goes on next, behind a demanded page; -1: at the pointer


class CachedPage(Record):
    """A slot of the cache of sent pages."""

    holder: float  # its page, counted from 1; 0: it is free
    sync: float  # after which that was sent last


class Watch(Record):
    """What is watched of rounds that may be alike."""

    best_left_pages: float  # left by the sync that left the least so far ...
    best: Counts  # ... and the counts as of then
    best_iteration: float
    gap_pages: float  # sum of what was left since beyond what the policy waits for ...
    squared_gaps: float  # ... and of its squares
    remembered: float  # a sum over what the policy remembers
    throttle: float
    same_throttle: float  # syncs in a row
    skipped_rounds: float
    jumped_pages: float  # sent by these


class Shutter(Record):
    """When frames are taken."""

    every_s: float
    due_s: float  # the next one; infinite: none
    taken: float


class Film(NamedTuple):
    """Room for the frames of one run.

    Attributes
    ----------
    shutter
        When frames are taken.
    times_s, rounds
        Of each frame: its moment, and how many bitmap syncs there were.
    cells
        One uint8 for each cell of each frame: the state of one page.
    demanded
        For each page whether a demand fault fetched it; empty when nothing is recorded.
    """

    shutter: Shutter
    times_s: np.ndarray
    rounds: np.ndarray
    cells: np.ndarray
    demanded: np.ndarray


def new_film(pages: int = 0, frames: int = 0, cells: int = 0, every_s: float = np.inf) -> Film:
    """Return room for a number of frames of so many cells, ``every_s`` one; by default nothing is recorded."""
    shutter = Shutter.new()
    shutter.every_s = every_s
    shutter.due_s = 0.0 if frames else np.inf
    return Film(
        shutter=shutter,
        times_s=np.zeros(frames),
        rounds=np.zeros(frames),
        cells=np.zeros(frames * cells, np.uint8),
        demanded=np.zeros(pages if frames else 0, np.uint8),
    )


class Room(NamedTuple):
    """What one run works on.

    Attributes
    ----------
    state
        Of the decision.
    spare
        A state and parameters that are tried out.
    guest, send, watch
        As they begin.
    cache
        Of pages that were sent, a slot each; empty: pages are always sent in full.
    counted
        For each page the writes of its class up to which its own are counted; empty: nobody asks for them.
    """

    state: State
    spare: tuple[State, Parameters]
    guest: Guest
    send: Sending
    watch: Watch
    cache: Any
    counted: np.ndarray


def room(packed: Packed, pages: int) -> Room:
    """Return the room that a run of a guest of so many pages takes."""
    remembered = int(min(packed.scenario.xbzrle_pages, float(pages)))
    return Room(
        state=decision.new_state(),
        spare=(decision.new_state(), decision.new_parameters()),
        guest=Guest.new(),
        send=Sending.new(),
        watch=Watch.new(),
        cache=rows(CachedPage, np.zeros(remembered * CachedPage.SIZE)),
        counted=np.zeros(pages if remembered > 0 else 0),
    )
