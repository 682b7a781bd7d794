"""Records that the engines write: the result, the rows of their tables, and the running state of this one."""

from __future__ import annotations

from migkit.records import Record

__all__ = ["Counts", "Result", "RoundRow", "Run", "TimePoint"]


class Result(Record):
    """What an engine says of one migration."""

    action: float  # of the policy that ended it; layout.SETTLED: it never would
    total_s: float
    downtime_s: float
    sent_bytes: float  # on the wire
    iterations: float
    switchover_pages: float  # left by the last sync before the stop
    final_pages: float  # sent, or brought, after the stop
    normal_pages: float  # sent in full
    zero_pages: float  # sent as zero pages
    marked_pages: float  # by all syncs, the first included
    left_pages: float  # pending when it ended
    lost_s: float  # guest progress lost to throttling and faults
    stop_s: float  # when the guest stopped
    faults: float
    blocktime_s: float
    rounds: float  # rows written to the table of rounds
    points: float  # rows written to the time line
    exposure_s: float  # push of post-copy
    degraded_s: float  # throttled, or running without all of its memory
    difference_pages: float  # of the pages sent in full: as differences
    saved_bytes: float  # what these were shorter than full pages
    undecided: float  # 1: SETTLED or TIME_OUT since the engine gave up, see run_state.MOST_TURNS
    turns: float  # what the engine went through, each by itself
    gave_up: float  # why the page-level simulator gave up; 0: it came to an end


class RoundRow(Record):
    """Running totals at a sync: a row of the table of rounds."""

    start_s: float
    sync_s: float
    marked_pages: float
    left_pages: float
    sent_bytes: float
    normal_pages: float
    zero_pages: float
    throttle: float


class TimePoint(Record):
    """A moment: a row of the time line."""

    t_s: float
    remaining_bytes: float
    sent_bytes: float


class Counts(Record):
    """Counts as of some sync, to compare later rounds with."""

    now_s: float
    sent_bytes: float
    normal_pages: float
    marked_pages: float
    lost_s: float
    degraded_s: float
    zero_pages: float  # this one and those that follow grow only where pages do not cost alike
    difference_pages: float
    saved_bytes: float


class Run(Record):
    """Running state of the expected-value engine."""

    # These begin at 0 ...
    sent_bytes: float  # on the wire so far
    normal_pages: float  # sent in full so far
    zero_pages: float  # sent as zero pages so far
    head: float  # first piece of the ring
    window_bytes: float  # sent in the present window
    synced_bytes: float  # on the wire when the last sync was
    marked_pages: float  # by all syncs so far
    lost_s: float
    degraded_s: float
    throttle: float  # that counted_s assumes
    stopped_s: float  # when the guest stopped
    rounds: float  # rows written so far
    points: float
    passed_pages: float  # sent since the ring was turned last
    zero_share: float  # of the run ahead
    best_iteration: float  # the sync that left the least so far
    remembered: float  # a sum over what the policy remembers
    skipped_rounds: float  # that were jumped over
    step: float  # of the link's schedule, counted from its first
    step_s: float  # when it begins
    # ... and those that follow are set.
    now_s: float
    window_start_s: float
    left_pages: float  # pending
    pieces: float  # in the ring
    most_pieces: float  # beyond which neighbours are joined
    counted_s: float  # writes are counted up to this time
    path_bytes_per_s: float  # speed of the path at present
    change_s: float  # when that ends
    synced_s: float  # when the last sync began
    check_s: float  # when the sender looks at the rule next, if the cap does not bind
    normal_quota_pages: float  # full pages of a window
    zero_quota_pages: float
    window_s: float  # length of a window
    is_plain: float  # 1: no phases and nothing that slows the guest but a throttle
    most_bytes_per_s: float  # the sender's own limit within a burst
    # The run of pages ahead of the scan pointer, which cost alike
    ahead_pages: float  # pending
    room_pages: float  # of it that the present window still takes
    quota_pages: float  # of it that a window takes
    wire_bytes: float  # what a page of it costs on the wire ...
    page_s: float  # ... and in time
    full_bytes_per_s: float  # bandwidth of a window full of it
    # Runs whose pages do not cost alike (engine.mixed)
    mixed: float  # above 0: there are such
    pass_number: float
    at_piece: float  # in which piece the run ahead lies, from the head on; without such runs, the piece behind it
    at_page: float  # the page at which it ends
    run_segment: float  # the first of those that lie interleaved in it
    run_width: float  # how many they are
    run_pages: float  # pending when it began
    difference_share: float  # which share of it goes as differences ...
    difference_bytes: float  # ... and what one costs
    difference_pages: float  # sent so far
    saved_bytes: float  # what they were shorter than full pages
    # Rounds that are alike
    best: Counts  # as of the sync that left the least
    like: Counts  # as of the sync since which rounds are compared
    like_iteration: float  # which sync that was
    conditions: float  # step of the link and throttle as of the last sync
    jumped_s: float  # when the last jump to an appointment of the policy ended
    turns: float  # of the engine so far, see run_state.MOST_TURNS
    undecided: float  # 1: it was given up after so many
    spent_turns: float  # counted from the start: the caller sets them to allow for fewer
    read_ahead: float  # prefetched from what is written soon; the value is never read
