"""Which pages the cache of differences (XBZRLE) holds, class by class, in expectation.

A page that is sent by the second pass or a later one is remembered; when it is sent again, the difference is sent.
Pages that share a slot of the cache keep each other out: the one that holds it loses it to another only when it was
not sent by the pass before (QEMU page_cache.c). That is followed by class: how many of its pages are held.
"""

from __future__ import annotations

from typing import Final

from migkit.engine import dirty
from migkit.engine.records import BINS, PackedScenario, Run, Segment, Work
from migkit.jit import assign, lean

__all__ = ["FIRST_KEPT", "close", "close_past", "recall", "with_share"]

FIRST_KEPT: Final = 2.0  # the pass from which on pages are remembered


@lean
def _sent_share(one: Segment) -> float:
    """Return which share of a class's pages this pass has sent."""
    return float(min(1.0, one.tally.passed_pages / one.pages))


@lean
def _remember(scenario: PackedScenario, work: Work, crowded: bool) -> None:
    """Count which pages the cache holds now, after a pass."""
    if crowded:
        _contend(scenario, work)
    for c in range(int(scenario.class_count)):
        one = work.segments[c]
        tally = one.tally
        tally.ever_share = with_share(tally.ever_share, _sent_share(one), one.kind == dirty.SWEEP)
        if not crowded:
            tally.held_share = tally.ever_share


@lean
def with_share(ever: float, sent: float, sweeps: bool) -> float:
    """Return which share of pages was sent once, after a pass that sent this share of them."""
    return min(1.0, ever + sent) if sweeps else ever + (1.0 - ever) * min(1.0, sent)


@lean
def _contend(scenario: PackedScenario, work: Work) -> None:
    """Let pages take the slots that are free, and those whose holder was not sent for two passes."""
    slots = scenario.xbzrle_pages
    segments, classes = work.segments, int(scenario.class_count)
    free = 1.0
    nobody = 1.0  # odds that no page of a slot is sent
    for c in range(classes):
        each = segments[c].pages / slots
        free -= segments[c].tally.held_share * each
        nobody *= (1.0 - _sent_share(segments[c])) ** each
    free = max(0.0, free)
    lost = 0.0
    weights = 0.0
    ahead = 1.0  # odds that no page of a slot was sent before this class
    for c in range(classes):
        tally = segments[c].tally
        each, sent = segments[c].pages / slots, _sent_share(segments[c])
        first = ahead * (1.0 - sent) ** max(0.0, 0.5 * (each - 1.0))
        others = nobody / (1.0 - sent) ** min(1.0, each) if sent < 1.0 else 0.0  # that no other one is
        stale = 1.0 - tally.before_share
        gone = tally.held_share * stale * (sent * (1.0 - first) + (1.0 - sent) * (1.0 - others))
        tally.held_share -= gone
        lost += gone * each
        weights += ahead * (1.0 - (1.0 - sent) ** each)
        ahead *= (1.0 - sent) ** each
    ahead = 1.0
    for c in range(classes):
        tally = segments[c].tally
        each, sent = segments[c].pages / slots, _sent_share(segments[c])
        weight = ahead * (1.0 - (1.0 - sent) ** each)
        if weights > 0.0:
            tally.held_share += (free * weight + lost * weight / weights) / each
        ahead *= (1.0 - sent) ** each


@lean
def close(scenario: PackedScenario, run: Run, work: Work) -> None:
    """Let the cache remember what a pass has sent, and begin the next one."""
    segments, classes = work.segments, int(scenario.class_count)
    dirtied = 0.0
    for c in range(classes):
        dirtied += segments[c].pages
    if scenario.xbzrle_pages > 0.0 and run.pass_number >= FIRST_KEPT:
        _remember(scenario, work, dirtied > scenario.xbzrle_pages)
    for c in range(classes):
        tally = segments[c].tally
        tally.before_share = _sent_share(segments[c])
        tally.passed_pages = 0.0
    run.pass_number += 1.0


@lean
def recall(run: Run, one: Segment, share: float, began_s: float, ended_s: float, part: float) -> None:
    """Count what a pass of the past has sent of a class, evenly over its time.

    Parameters
    ----------
    run, one
        The engine's counts, and those of the class.
    share
        Which share of the class's pages was pending.
    began_s, ended_s
        When the pass began, and ended or stands now, since the request [s].
    part
        Which part of the region it has passed by then; 1: all.
    """
    rate = one.writes_per_s
    bins = min(BINS, int(part * BINS + 0.5))
    for b in range(bins):
        visit, older = one.bins[b].last, one.bins[b].older
        assign(older, visit)
        visit.pass_number = run.pass_number
        visit.sync_writes = rate * began_s
        visit.sent_writes = rate * (began_s + (b + 0.5) / bins * (ended_s - began_s))
        visit.sent_share = share
        if run.pass_number >= FIRST_KEPT:
            visit.remembered_share = with_share(older.remembered_share, share, one.kind == dirty.SWEEP)
    one.tally.passed_pages = share * part * one.pages


@lean
def close_past(scenario: PackedScenario, run: Run, work: Work, synced_s: float) -> None:
    """End a pass of the past with a sync so long after the request [s]."""
    close(scenario, run, work)
    for c in range(int(scenario.class_count)):
        one = work.segments[c]
        one.tally.synced_writes = one.writes_per_s * synced_s
