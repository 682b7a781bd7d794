"""Records that the engines work on: the packed scenario, the result, tables, and the running state of this one."""

from __future__ import annotations

from typing import Final

from migkit.records import Record, numbers, several

__all__ = [
    "BINS",
    "MAX_SEGMENTS",
    "PIECES",
    "SETTLED",
    "Bin",
    "Counts",
    "PackedClass",
    "PackedScenario",
    "Piece",
    "Result",
    "RoundRow",
    "Run",
    "Segment",
    "Step",
    "Tally",
    "TimePoint",
    "Visit",
    "Work",
]

SETTLED: Final = 9  # the action of a result that never ends, beside those of a policy
PIECES: Final = 512  # of the ring, a power of two
MAX_SEGMENTS: Final = 64  # a power of two, beyond the page classes of any guest
BINS: Final = 16  # a region


class PackedScenario(Record):
    """The scalars of a scenario; :func:`migkit.engine.packing.pack` fills them."""

    # Guest
    normal_pages: float  # written once, never dirtied
    zero_pages: float
    class_count: float  # page classes, those that are idle at the end left out
    capacity_writes_per_s: float  # flat out; 0: the guest runs flat out already
    grain_pages: float  # pages that one bit of tracking covers
    fills_zero: float  # 1: some region starts as zero pages, or holds some at any moment
    first_woven: float  # class that lies interleaved, up to zero pages among them; infinite: none does
    zero_first_pages: float  # of the zero pages, those in one run at the start of memory ...
    zero_last_pages: float  # ... and those in one run at its end
    lead_pages: float  # of what lies interleaved, those that lie ahead of the first run of zero pages

    # Path and hosts
    goodput_bytes_per_s: float  # nothing but the cap limits it further
    cap_bytes_per_s: float
    page_wire_bytes: float  # a full page on the wire
    zero_wire_bytes: float
    page_cpu_s: float
    zero_cpu_s: float
    sync_s: float
    setup_s: float
    quiesce_s: float
    load_s: float  # all that is done while the guest is stopped, but sync, pages and resume
    resume_s: float
    translate_s: float  # from running to a program of the guest that runs, beside the total time
    release_s: float  # from running to the source released, after a switchover
    write_fault_s: float
    first_step: float  # of the link's schedule in the steps
    step_count: float
    rtt_s: float
    fault_service_s: float
    register_per_page_s: float
    lead_s: float  # before the first byte of memory: checkpoint, storage, ramp of TCP
    in_flight_s: float  # that bytes which count as sent are still on their way
    device_bytes: float  # state beside memory, sent while the guest is stopped
    storage_bytes: float  # storage copied along; policies count it

    # The sender's windows
    window_s: float
    window_extra_s: float  # what a real window lasts longer
    poll_s: float  # how often the rule is looked at when the cap does not bind
    throttle_slice_s: float  # for which a throttled guest runs between two sleeps; 0: it is slowed evenly
    sync_awaits: float  # 1: a sync waits until a throttled guest is awake
    flush_pages: float  # a window ends with the first multiple of it beyond the quota; 0: with the quota
    flush_pages_too: float  # or with the first of this one, with equal odds
    beyond_pages: float  # under way when the quota is used up, which are counted only once they have left

    # Strategy
    prefetch_pages: float
    postcopy_cap_bytes_per_s: float  # of the push in post-copy
    postcopy_goodput_bytes_per_s: float
    postcopy_zero_cpu_s: float  # to place a zero page at the destination
    xbzrle_pages: float  # that the cache of sent pages holds; 0: pages are always sent in full
    xbzrle_header_bytes: float  # of a page sent as a difference, beside its runs
    xbzrle_run_bytes: float  # of a run of changed bytes, beside these
    xbzrle_same_bytes: float  # of a page that is as it was
    xbzrle_cpu_s: float  # to compare a page with what was sent of it
    discard_run_s: float  # to discard a run of pages at the destination before post-copy
    queue_bytes: float  # on their way ahead of a demanded page; 0: those have a connection of their own
    demands_wait: float  # of a capped push: 1: a demand comes behind its quota, 2: with the next if it is used up
    push_restarts: float  # 1: the push begins at address 0, and not where pre-copy was
    push_follows: float  # 1: the push goes on behind the page that was demanded
    rest_s: float  # post-copy: what is pending goes without the cap once that takes less, as measured ...
    rest_bytes: float  # ... or is less than this


class PackedClass(Record):
    """One page class of a packed scenario."""

    kind: float  # dirty.RANDOM or dirty.SWEEP
    pages: float  # of its region
    writes_per_s: float
    first_phase: float  # in the steps
    phase_count: float
    phase_offset_s: float
    reads_per_s: float
    rewrite_bytes: float  # of a page that one write changes, in whole words
    start_pages: float  # where a sweep stands when the migration begins
    blank: float  # 1: its pages are zero until they are written; of a growth those behind its start
    most_writes: float  # after which it is written no more: a growth ends with its region; else infinite
    zero_share: float  # of its pages that are zero at any moment


class Step(Record):
    """A phase of a page class, which its phases repeat for ever, or a step of the link's schedule."""

    duration_s: float
    level: float  # of the class's rates, or of the path's goodput: a factor
    end_s: float  # since the first of them began
    integral_s: float  # of the level until then


class Result(Record):
    """What an engine says of one migration."""

    action: float  # of the policy that ended it; SETTLED: it never would
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


class Slices(Record):
    """Where a throttled guest stands among its sleeps."""

    began_s: float  # when one of them began under the throttle in force
    throttle: float  # in force up to which writes are counted


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
    throttle: float  # that is ordered
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
    slices: Slices
    read_ahead: float  # prefetched from what is written soon; the value is never read


class Piece(Record):
    """A run of pages of one segment, all of which are pending with one probability."""

    segment: float
    pages: float
    share: float  # of them that is pending
    first_page: float  # of these, within the segment


class Tally(Record):
    """What is counted of a page class whose pages do not cost alike."""

    synced_writes: float  # by the last sync
    passed_pages: float  # sent since
    before_share: float  # of its pages that the pass before sent
    ever_share: float  # of its pages that any pass but the first has sent
    held_share: float  # of its pages that the cache of differences holds


class Visit(Record):
    """A pass of the sender over a bin."""

    sent_writes: float  # of its class, when its pages were sent
    sent_share: float  # of its pages that were sent then; the others were not pending
    sync_writes: float  # of its class, at the sync before that
    pass_number: float
    remembered_share: float  # of its pages that any pass but the first has sent


class Bin(Record):
    """A part of a region, as the pass that reached it last left it, and the one before did."""

    last: Visit
    older: Visit


class Segment(PackedClass):
    """A page class, and what is known of it now; behind the classes the pages written once, then the zero pages."""

    new_writes: float  # since the last sync
    made_writes: float  # of a growth, since the start
    position_pages: float  # where its sweep stands
    newly_dirty: float  # share that the last sync found dirty
    turns: float  # of its place: so often a push that follows demands went on there
    owed_turns: float  # what its share of the demands says beyond them
    # The run ahead (engine.mixed)
    run_writes: float  # by its middle
    run_share: float  # of its pages that are this segment's
    tally: Tally
    bins: several(Bin, BINS)  # type: ignore[valid-type]


class Work(Record):
    """What the expected-value engine knows of memory: a ring of pieces, and the segments that these are of."""

    pieces: several(Piece, PIECES)  # type: ignore[valid-type]
    zero_shares: numbers(PIECES)  # type: ignore[valid-type]  # of each piece, from the start of post-copy on
    segments: several(Segment, MAX_SEGMENTS)  # type: ignore[valid-type]
