"""Which pages the cache of differences (XBZRLE) holds, class by class, in expectation.

A page that is sent by the second pass or a later one is remembered; when it is sent again, the difference is sent.
Pages that share a slot of the cache keep each other out: the one that holds it loses it to another only when it was
not sent by the pass before (QEMU page_cache.c). That is followed by class: how many of its pages are held.
"""

from __future__ import annotations

from migkit.engine import dirty
from migkit.engine.records import PackedScenario, Segment, Work
from migkit.jit import lean

__all__ = ["remember", "sent_share", "with_share"]


@lean
def sent_share(one: Segment) -> float:
    """Return which share of a class's pages this pass has sent."""
    return float(min(1.0, one.tally.passed_pages / one.pages))


@lean
def remember(scenario: PackedScenario, work: Work, crowded: bool) -> None:
    """Count which pages the cache holds now, after a pass."""
    if crowded:
        _contend(scenario, work)
    for c in range(int(scenario.class_count)):
        one = work.segments[c]
        tally = one.tally
        tally.ever_share = with_share(tally.ever_share, sent_share(one), one.kind == dirty.SWEEP)
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
        nobody *= (1.0 - sent_share(segments[c])) ** each
    free = max(0.0, free)
    lost = 0.0
    weights = 0.0
    ahead = 1.0  # odds that no page of a slot was sent before this class
    for c in range(classes):
        tally = segments[c].tally
        each, sent = segments[c].pages / slots, sent_share(segments[c])
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
        each, sent = segments[c].pages / slots, sent_share(segments[c])
        weight = ahead * (1.0 - (1.0 - sent) ** each)
        if weights > 0.0:
            tally.held_share += (free * weight + lost * weight / weights) / each
        ahead *= (1.0 - sent) ** each
