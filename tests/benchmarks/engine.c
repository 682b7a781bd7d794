/* The expected-value engine of migkit/engine in C, for every scenario that migkit.engine.batch.without_steps takes the
 * steps from: pre-copy under QEMU's rule, without phases, throttle, steps of the link, differences and regions that
 * start as zero pages. It is the same algorithm, written for speed:
 *
 *   - page classes of random writes and sweeps, in blocks or interleaved; blocks of tracking of any number of pages;
 *   - zero pages in a run at either end of memory, behind a lead of other pages, or evenly among them;
 *   - windows under a cap, jumped over where they are alike; polls without one, jumped over likewise;
 *   - QEMU's rule with a switchover bandwidth that is measured or given, up to 11.0 and from 11.1 on;
 *   - rounds that are alike, and the bounds on turns and on time;
 *   - every number of the result.
 *
 * What such a scenario never has is left out, as the engine leaves it out that is compiled for them. records.h is made
 * from the declarations of the records and of the names of actions and events (tests/benchmarks/engine_in_c.py). */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include "records.h"

enum { PIECES = 512, LAST_PIECE = PIECES - 1, MAX_SEGMENTS = 64, FEW_PIECES = 60, WOVEN_PARTS = 4 };
enum { SWEEP = 1, ROUNDS_TO_SETTLE = 50 };
#define PAGE 4096.0
#define NOTHING 1e-4
#define SLACK_S 1e-9
#define SAME 1e-9
#define SLIVER_PAGES 1e-6
#define LEAST_APART 1e-6
#define MOST_TURNS 200000.0
#define LAST_S 1e12
#define FEW_ROUNDS 4.0
#define MOST_SYNCS 0x1p62
#define NEXT (1.0 + 0x1p-52)

/* A run of pages of one segment, all pending with one probability. Segments are the page classes, the pages that are
 * written once, the zero pages among them, and the zero pages at the ends of memory. */
typedef struct {
    int segment;
    double pages, share, first_page;
} Piece;

/* All memory, from the scan pointer on. */
typedef struct {
    int head, count, most, classes, woven;
    double position_pages[MAX_SEGMENTS], newly_dirty[MAX_SEGMENTS];
    Piece pieces[PIECES];
} Ring;

/* Counts as of a sync, to compare later rounds with. */
typedef struct {
    double iteration, now_s, sent_bytes, normal_pages, marked_pages;
} Counts;

typedef struct {
    double now_s, counted_s, stopped_s;
    /* the sender: its window, its next look at the rule, what is pending, what the policy asked for */
    double window_start_s, window_s, check_s, window_bytes, left_pages, bandwidth_bytes_per_s, wake_bytes;
    /* the run of pages ahead of the scan pointer that cost alike, and the piece behind it */
    double ahead_pages, room_pages, quota_pages, wire_bytes, page_s, full_bytes_per_s, zero_share;
    int behind_piece;
    double normal_quota_pages, zero_quota_pages;
    /* totals */
    double passed_pages, sent_bytes, normal_pages, zero_pages, marked_pages, iteration;
    double turns, undecided, jumped_s;
    Counts best;
} Run;

static inline double least(double a, double b) { return b < a ? b : a; }
static inline double most(double a, double b) { return b > a ? b : a; }
static inline bool same(double bandwidth, double other) { return fabs(bandwidth - other) <= SAME * other; }
static inline Piece *piece_at(Ring *ring, int i) { return &ring->pieces[(ring->head + i) & LAST_PIECE]; }

/* -- the ring ---------------------------------------------------------------------------------------------------- */

static inline double segment_pages(const PackedScenario *scenario, const PackedClass *classes, const Ring *ring, int k)
{
    if (k < ring->classes) return classes[k].pages;
    if (k == ring->classes) return scenario->normal_pages;
    return scenario->zero_pages - scenario->zero_first_pages - scenario->zero_last_pages;
}

/* Put a piece behind the others unless it is a sliver; return its pages. */
static inline double place(Ring *ring, int segment, double pages, double first_page)
{
    if (pages <= SLIVER_PAGES) return 0.0;
    ring->pieces[ring->count++ & LAST_PIECE] = (Piece){segment, pages, 1.0, first_page};
    return pages;
}

/* Lay out all memory, pending; return its pages. */
static inline double lay_out(const PackedScenario *scenario, const PackedClass *classes, Ring *ring)
{
    int all = ring->classes + 2;
    double lead = 0.0, pages = 0.0;
    if (scenario->lead_pages > 0.0) {
        double mixed = 0.0;
        for (int k = ring->woven; k < all; k++) mixed += segment_pages(scenario, classes, ring, k);
        if (mixed > 0.0) lead = least(1.0, scenario->lead_pages / mixed);
    }
    if (lead > 0.0)
        for (int k = ring->woven; k < all; k++)
            pages += place(ring, k, lead * segment_pages(scenario, classes, ring, k), 0.0);
    pages += place(ring, all, scenario->zero_first_pages, 0.0);
    for (int k = 0; k < all; k++) {
        double size = segment_pages(scenario, classes, ring, k), begin = k >= ring->woven ? lead * size : 0.0;
        pages += place(ring, k, size - begin, begin);
    }
    return pages + place(ring, all, scenario->zero_last_pages, scenario->zero_first_pages);
}

/* How many pieces lie interleaved from the i-th on, of `left`; 1: it lies alone. */
static inline int width(Ring *ring, int i, int left)
{
    int segment = piece_at(ring, i)->segment, number = 1;
    if (segment < ring->woven) return 1;
    for (; number < left; number++) {
        int after = piece_at(ring, i + number)->segment;
        if (after <= segment || after > ring->classes + 1) break;
        segment = after;
    }
    return number;
}

static inline double pending(Ring *ring, int i, int number)
{
    double pages = 0.0;
    for (int k = i; k < i + number; k++) {
        Piece *at = piece_at(ring, k);
        pages += at->pages * at->share;
    }
    return pages;
}

/* Cut the i-th piece at a page of its region; return the part behind. */
static Piece *cut(Ring *ring, int i, double where)
{
    for (int k = ring->count; k > i; k--) *piece_at(ring, k) = *piece_at(ring, k - 1);
    ring->count++;
    Piece *before = piece_at(ring, i), *behind = piece_at(ring, i + 1);
    before->pages = where - before->first_page;
    behind->pages -= before->pages;
    behind->first_page = where;
    return behind;
}

/* Make pages of a class pending, from one up to another; without room to cut, a piece takes the mean. */
static void mark_arc(Ring *ring, int c, double begin, double end)
{
    for (int i = 0; i < ring->count; i++) {
        Piece *at = piece_at(ring, i);
        if (at->segment != c || at->share == 1.0) continue;
        double first = most(begin, at->first_page), behind = least(end, at->first_page + at->pages);
        if (behind - first < SLIVER_PAGES) continue;
        if (ring->count > ring->most) {
            at->share += (1.0 - at->share) * (behind - first) / at->pages;
            continue;
        }
        if (first - at->first_page > SLIVER_PAGES) at = cut(ring, i++, first);
        if (at->first_page + at->pages - behind > SLIVER_PAGES) {
            cut(ring, i, behind);
            at = piece_at(ring, i++);
        }
        at->share = 1.0;
    }
}

/* Join neighbours of a segment whose pending shares differ by so much at most. */
static void merge(Ring *ring, double apart)
{
    int kept = -1;
    for (int i = 0; i < ring->count; i++) {
        Piece *at = piece_at(ring, i), *last = piece_at(ring, kept);
        if (kept >= 0 && last->segment == at->segment && fabs(last->share - at->share) <= apart
            && last->first_page < at->first_page) {
            double pages = last->pages + at->pages;
            last->share = (last->share * last->pages + at->share * at->pages) / pages;
            last->pages = pages;
        } else {
            *piece_at(ring, ++kept) = *at;
        }
    }
    ring->count = kept + 1;
}

/* Join neighbouring parts of memory whose segments lie interleaved, and whose shares differ by so much at most. */
static void merge_woven(Ring *ring, double apart)
{
    int kept = 0, before = 0;
    for (int i = 0, number; i < ring->count; i += number) {
        number = width(ring, i, ring->count - i);
        bool joins = number > 1 && before == number;
        for (int k = 0; joins && k < number; k++) {
            Piece *last = piece_at(ring, kept - number + k), *at = piece_at(ring, i + k);
            joins = fabs(last->share - at->share) <= apart && last->first_page < at->first_page;
        }
        for (int k = 0; k < number; k++) {
            Piece *at = piece_at(ring, i + k), *to = piece_at(ring, joins ? kept - number + k : kept + k);
            if (joins) {
                double pages = to->pages + at->pages;
                to->share = (to->share * to->pages + at->share * at->pages) / pages;
                to->pages = pages;
            } else {
                *to = *at;
            }
        }
        if (!joins) kept += number;
        before = number;
    }
    ring->count = kept;
}

/* Join neighbours, the most alike first, until a few more pieces fit. */
static void make_room(Ring *ring, bool is_woven)
{
    for (double apart = 0.0; ring->count > ring->most && apart <= 1.0; apart = most(LEAST_APART, 4.0 * apart)) {
        merge(ring, apart);
        if (is_woven) merge_woven(ring, apart);
    }
}

/* Make the arc pending that a sweep wrote since the last sync, in whole blocks of tracking, and move the sweep.
 * Return how many turns that takes. */
static double mark_sweep(Ring *ring, int c, double pages, double writes, double grain)
{
    double begin = floor(ring->position_pages[c]), position = ring->position_pages[c] + writes;
    double end = floor(position);
    ring->position_pages[c] = fmod(position, pages);
    if (end <= begin) return 0.0;
    double turns = 4.0 * ring->count;
    begin = floor(begin / grain) * grain;
    if (end - begin >= pages) {
        mark_arc(ring, c, 0.0, pages);
    } else if (end <= pages) {
        mark_arc(ring, c, begin, ceil(end / grain) * grain);
    } else {
        mark_arc(ring, c, begin, pages);
        mark_arc(ring, c, 0.0, ceil((end - pages) / grain) * grain);
    }
    merge(ring, 0.0);
    return turns;
}

/* Find the pending pages from a piece on that cost alike; return the piece behind them. */
static int find_run(Ring *ring, int i, double *run_pages, double *zero_share)
{
    double pages = 0.0, zero = 0.0;
    for (int number; i < ring->count; i += number) {
        number = width(ring, i, ring->count - i);
        double own = pending(ring, i, number);
        if (own <= 0.0) continue;
        Piece *last = piece_at(ring, i + number - 1);
        double share = last->segment > ring->classes ? last->pages * last->share / own : 0.0;
        if (pages > 0.0 && share != zero) break;
        pages += own;
        zero = share;
    }
    *run_pages = pages;
    *zero_share = zero;
    return i;
}

/* Whether the pieces from `last` on lie just before those at the head, and none of them is pending. */
static bool follows(Ring *ring, int last, int kept, int number)
{
    if (last < number) return false;
    for (int k = 0; k < kept; k++) {
        Piece *at = piece_at(ring, k), *to = piece_at(ring, last + k);
        if (to->segment != at->segment || to->share != 0.0 || to->first_page >= at->first_page) return false;
    }
    return true;
}

/* Turn the ring by the interleaved part at its head, or by what was sent of it; return what was sent behind it. */
static double turn_woven(Ring *ring, int number, double passed)
{
    double sent = 1.0, there = pending(ring, 0, number);
    if (there > passed + NOTHING) sent = passed / there;
    int kept = 0;
    while (kept < number && piece_at(ring, kept)->segment < ring->classes) kept++;
    int last = ring->count - kept;
    bool goes_on = follows(ring, last, kept, number);
    if (!goes_on) last = ring->count;
    for (int k = 0; k < number; k++) {
        Piece *at = piece_at(ring, k);
        double pages = at->pages * sent, first = at->first_page;
        if (sent < 1.0) {
            at->pages -= pages;
            at->first_page += pages;
        }
        if (k >= kept) continue;
        Piece *to = piece_at(ring, last + k);
        if (goes_on)
            to->pages += pages;
        else
            *to = (Piece){at->segment, pages, 0.0, first};
    }
    if (!goes_on) ring->count += kept;
    if (sent < 1.0) return 0.0;
    ring->head = (ring->head + number) & LAST_PIECE;
    ring->count -= number;
    return passed - there;
}

/* Turn the ring by the pages that were sent; those that may be written again go behind the last piece. */
static inline void turn(Ring *ring, double passed)
{
    for (int ahead = ring->count; ahead > 0 && passed > NOTHING;) {
        Piece *at = piece_at(ring, 0);
        int segment = at->segment;
        if (segment >= ring->woven) {
            int number = width(ring, 0, ahead);
            passed = turn_woven(ring, number, passed);
            ahead -= number;
            continue;
        }
        ahead--;
        double pages = at->pages, first = at->first_page, there = pages * at->share;
        if (there > passed + NOTHING) {
            pages *= passed / there;
            at->pages -= pages;
            at->first_page += pages;
            passed = 0.0;
        } else {
            passed -= there;
            ring->head = (ring->head + 1) & LAST_PIECE;
            ring->count--;
        }
        if (segment >= ring->classes) continue;
        Piece *last = piece_at(ring, ring->count - 1);
        if (ring->count > 0 && last->segment == segment && last->share == 0.0 && last->first_page < first)
            last->pages += pages;
        else
            *piece_at(ring, ring->count++) = (Piece){segment, pages, 0.0, first};
    }
}

/* -- the guest --------------------------------------------------------------------------------------------------- */

/* Come to the run at the head of the ring, after a sync; one of zero pages goes on as it was. */
static inline void first_run(Ring *ring, Run *run)
{
    double pages, zero;
    run->behind_piece = find_run(ring, 0, &pages, &zero);
    if (zero == run->zero_share && zero == 0.0) {
        run->ahead_pages = pages;
    } else if (!(zero == run->zero_share && zero == 1.0) || run->ahead_pages <= 0.0) {
        run->ahead_pages = 0.0;
        run->behind_piece = 0;
    }
}

/* Move what was written since the last sync to the pending pages; return how many it adds. */
static inline double mark(const PackedScenario *scenario, const PackedClass *classes, Ring *ring, Run *run)
{
    double span_s = most(0.0, run->now_s - run->counted_s), left = 0.0;
    run->counted_s = run->now_s;
    turn(ring, run->passed_pages);
    run->passed_pages = 0.0;
    if (ring->count > ring->most) make_room(ring, scenario->first_woven < INFINITY);
    for (int c = 0; c < ring->classes; c++) {
        double writes = classes[c].writes_per_s * span_s;
        ring->newly_dirty[c] = 0.0;
        if (classes[c].kind == SWEEP)
            run->turns += mark_sweep(ring, c, classes[c].pages, writes, scenario->grain_pages);
        else if (classes[c].pages > 0.0 && writes > 0.0)
            ring->newly_dirty[c] = -expm1(-writes * scenario->grain_pages / classes[c].pages);
    }
    for (int i = 0; i < ring->count; i++) {
        Piece *at = piece_at(ring, i);
        if (at->segment < ring->classes) at->share += (1.0 - at->share) * ring->newly_dirty[at->segment];
        left += at->pages * at->share;
    }
    if (run->zero_pages < scenario->zero_pages - NOTHING)
        first_run(ring, run);
    else if (run->zero_share == 0.0)
        run->ahead_pages = left;
    double marked = left - run->left_pages;
    run->left_pages = left;
    return most(0.0, marked);
}

/* Sync the bitmap. */
static inline void sync_bitmap(const PackedScenario *scenario, const PackedClass *classes, Ring *ring, Run *run)
{
    run->marked_pages += run->iteration > 0.0 ? mark(scenario, classes, ring, run) : run->left_pages;
    run->iteration += 1.0;
    run->turns += ring->count + ring->classes;
    run->now_s += scenario->sync_s;
    run->check_s = run->now_s + scenario->poll_s;
}

/* -- the sender -------------------------------------------------------------------------------------------------- */

static inline double flushed(double pages, double flush)
{
    return flush == 0.0 ? pages : (floor(pages / flush) + 1.0) * flush;
}

/* The pages that one window sends. */
static inline double quota(const PackedScenario *scenario, double wire_bytes)
{
    double pages = scenario->cap_bytes_per_s * scenario->window_s / wire_bytes;
    if (isinf(pages)) return pages;
    double counted = flushed(pages, scenario->flush_pages) + flushed(pages, scenario->flush_pages_too);
    return 0.5 * counted + scenario->beyond_pages;
}

/* Set what a page of the run ahead costs: a full page, a zero page, or the mean over both. */
static inline void price(const PackedScenario *scenario, Run *run)
{
    double zero = run->zero_share, speed = scenario->goodput_bytes_per_s;
    if (zero <= 0.0) {
        run->wire_bytes = scenario->page_wire_bytes;
        run->page_s = most(scenario->page_wire_bytes / speed, scenario->page_cpu_s);
        run->quota_pages = run->normal_quota_pages;
        run->full_bytes_per_s = run->quota_pages * run->wire_bytes / run->window_s;
    } else if (zero >= 1.0) {
        run->wire_bytes = scenario->zero_wire_bytes;
        run->page_s = most(scenario->zero_wire_bytes / speed, scenario->zero_cpu_s);
        run->quota_pages = run->zero_quota_pages;
        run->full_bytes_per_s = run->quota_pages * run->wire_bytes / run->window_s;
    } else {
        double full = 1.0 - zero, page_bytes = scenario->page_wire_bytes, zero_bytes = scenario->zero_wire_bytes;
        double bytes = full * run->normal_quota_pages * page_bytes + zero * run->zero_quota_pages * zero_bytes;
        run->wire_bytes = full * page_bytes + zero * zero_bytes;
        run->page_s = full * most(page_bytes / speed, scenario->page_cpu_s)
                      + zero * most(zero_bytes / speed, scenario->zero_cpu_s);
        run->quota_pages = bytes / run->wire_bytes;
        run->full_bytes_per_s = bytes / run->window_s;
    }
}

/* Come to the next pages that cost alike; return how many there are. */
static inline double next_run(const PackedScenario *scenario, Ring *ring, Run *run, double left)
{
    if (run->zero_pages < scenario->zero_pages - NOTHING) {
        double pages;
        run->behind_piece = find_run(ring, run->behind_piece, &pages, &run->zero_share);
        if (run->zero_share != 0.0 || run->behind_piece != ring->count) left = pages;
    } else {
        run->zero_share = 0.0;
    }
    price(scenario, run);
    return left;
}

/* Count pages of the present run as sent. */
static inline void count(Run *run, double pages)
{
    run->passed_pages += pages;
    run->sent_bytes += pages * run->wire_bytes;
    if (run->zero_share == 0.0) {
        run->normal_pages += pages;
    } else {
        run->zero_pages += pages * run->zero_share;
        run->normal_pages += pages * (1.0 - run->zero_share);
    }
}

/* Send until the rule must be asked; return the event. Something is pending: the rule goes on only then. */
static inline int send_pages(const PackedScenario *scenario, const Parameters *parameters, Ring *ring, Run *run)
{
    double wake_pages = run->wake_bytes / PAGE, wake_s = parameters->time_limit_s;
    double now_s = run->now_s, start_s = run->window_start_s, check_s = run->check_s, left = run->left_pages;
    double ahead = run->ahead_pages, room = run->room_pages, window_bytes = run->window_bytes, passed = 0.0;
    double bandwidth = run->bandwidth_bytes_per_s;
    int event = EMPTY;
    while (left > 0.0) {
        run->turns += 1.0;
        if (now_s > LAST_S) {
            event = WINDOW;
            break;
        }
        if (ahead <= 0.0) {
            count(run, passed);
            passed = 0.0;
            ahead = next_run(scenario, ring, run, left);
            room = most(0.0, run->quota_pages - window_bytes / run->wire_bytes);
        }
        double pages = least(ahead, room), sent_s = now_s + pages * run->page_s, windows = 0.0, by_time = INFINITY;
        if (sent_s > check_s - SLACK_S) by_time = most(0.0, ceil((check_s - now_s - SLACK_S) / run->page_s));
        if (by_time < pages) {
            if (window_bytes == 0.0 && now_s == start_s && by_time >= 1.0) {
                /* windows whose rule is looked at on the way, and that go on at the bandwidth of the last one */
                double polls = ceil((scenario->window_s - SLACK_S) / (by_time * run->page_s));
                double each = least(room, by_time * polls), each_s = most(run->window_s, each * run->page_s);
                if (same(each * run->wire_bytes / each_s, bandwidth)) {
                    windows = floor(least(least(ahead, left - wake_pages) / each, (wake_s - now_s) / each_s));
                    if (windows > 2.0) {
                        pages = (windows - 1.0) * each;
                        now_s = start_s = start_s + (windows - 1.0) * each_s;
                        check_s = now_s + scenario->poll_s;
                        ahead -= pages;
                        left -= pages;
                        passed += pages;
                        continue;
                    }
                }
            }
            pages = by_time;
            sent_s = now_s + pages * run->page_s;
            windows = sent_s >= most(check_s, start_s + scenario->window_s) - SLACK_S;
        } else if (ahead > room) {
            windows = 1.0;
            if (window_bytes == 0.0 && same(run->full_bytes_per_s, bandwidth) && now_s < start_s + run->window_s) {
                windows = floor(least(ahead, left - wake_pages + room) / room);
                if (wake_s - now_s < windows * run->window_s) windows = ceil((wake_s - now_s) / run->window_s);
                windows = most(1.0, windows);
                pages = windows * room;
            }
        }
        now_s = sent_s;
        ahead -= pages;
        room -= pages;
        passed += pages;
        window_bytes += pages * run->wire_bytes;
        left = left - pages > NOTHING ? left - pages : 0.0;
        if (windows == 0.0 && (ahead <= 0.0 || now_s < check_s - SLACK_S)) continue;
        double before = bandwidth;
        if (windows > 0.0) {
            now_s = start_s + windows * run->window_s;
            if (windows == 1.0) {
                now_s = most(now_s, sent_s);
                bandwidth = window_bytes / (now_s - start_s);
            }
            start_s = now_s;
            room = run->quota_pages;
            window_bytes = 0.0;
        }
        check_s = now_s + scenario->poll_s;
        if (left < wake_pages || now_s >= wake_s || !same(bandwidth, before) || run->turns > MOST_TURNS) {
            event = WINDOW;
            break;
        }
    }
    count(run, passed);
    run->now_s = now_s;
    run->window_start_s = start_s;
    run->check_s = check_s;
    run->left_pages = left;
    run->ahead_pages = ahead;
    run->room_pages = room;
    run->window_bytes = window_bytes;
    run->bandwidth_bytes_per_s = bandwidth;
    return event;
}

/* Send the rest while the guest is stopped, at the speed of the path. */
static inline void send_all(const PackedScenario *scenario, Ring *ring, Run *run)
{
    price(scenario, run);
    while (run->left_pages > 0.0) {
        if (run->ahead_pages <= 0.0) run->ahead_pages = next_run(scenario, ring, run, run->left_pages);
        double pages = run->ahead_pages;
        count(run, pages);
        run->now_s += pages * run->page_s;
        run->ahead_pages = 0.0;
        run->left_pages -= pages;
        if (run->left_pages <= NOTHING) run->left_pages = 0.0;
    }
    run->now_s += scenario->device_bytes / scenario->goodput_bytes_per_s;
    run->sent_bytes += scenario->device_bytes;
}

/* -- the rule ---------------------------------------------------------------------------------------------------- */

/* What QEMU does under its downtime limit. */
static inline int decide(const Parameters *parameters, int event, Run *run)
{
    if (run->now_s >= parameters->time_limit_s) return TIME_OUT;
    double bandwidth = run->bandwidth_bytes_per_s;
    if (parameters->switchover_bandwidth_bytes_per_s > 0.0) bandwidth = parameters->switchover_bandwidth_bytes_per_s;
    double threshold = bandwidth * parameters->downtime_limit_s;
    double remaining = run->left_pages > NOTHING ? run->left_pages * PAGE : 0.0;
    bool under = remaining < threshold;
    run->wake_bytes = threshold;
    if (parameters->sync_at_threshold > 0.0) {
        under = remaining <= threshold;
        run->wake_bytes = threshold * NEXT;
    }
    if (remaining > 0.0 && !under) return CONTINUE;
    return under && event != SYNCED ? SYNC : SWITCHOVER;
}

/* Jump by whole rounds, as they were in the mean since the sync that left the least, to the last that ends in time. */
static void jump(double until_s, Run *run)
{
    const Counts *since = &run->best;
    double rounds = run->iteration - since->iteration, span_s = run->now_s - since->now_s;
    if (span_s <= 0.0) return;
    double number = floor((until_s - run->now_s) * rounds / span_s) - 1.0;
    if (!(number > FEW_ROUNDS)) return;
    double normal_pages = number * (run->normal_pages - since->normal_pages) / rounds;
    run->marked_pages += normal_pages;
    run->normal_pages += normal_pages;
    run->sent_bytes += number * (run->sent_bytes - since->sent_bytes) / rounds;
    run->iteration += number;
    double later_s = number * span_s / rounds;
    run->now_s += later_s;
    run->window_start_s += later_s;
    run->counted_s += later_s;
    run->check_s += later_s;
}

/* The remainder has not sunk for many rounds: jump to the time limit; without one, it never will. */
static int skip(const Parameters *parameters, Run *run)
{
    bool moved = run->now_s - most(run->best.now_s, run->jumped_s) > 0.0;
    if (moved && parameters->time_limit_s == INFINITY) return SETTLED;
    jump(parameters->time_limit_s, run);
    if (moved) run->jumped_s = run->now_s;
    return CONTINUE;
}

/* How a migration ends that takes too many turns. */
static int give_up(const Parameters *parameters, Run *run)
{
    run->undecided = 1.0;
    if (parameters->time_limit_s == INFINITY) return SETTLED;
    if (run->iteration > run->best.iteration && run->now_s > run->best.now_s) jump(parameters->time_limit_s, run);
    run->now_s = most(run->now_s, parameters->time_limit_s);
    return TIME_OUT;
}

/* -- one migration, and many ------------------------------------------------------------------------------------- */

static inline void begin(const PackedScenario *scenario, const PackedClass *classes, const Parameters *parameters,
                         Ring *ring, Run *run)
{
    *run = (Run){.window_start_s = scenario->lead_s, .window_s = scenario->window_s + scenario->window_extra_s};
    ring->head = ring->count = 0;
    ring->classes = (int)scenario->class_count;
    ring->woven = scenario->first_woven < INFINITY ? (int)scenario->first_woven : MAX_SEGMENTS + 2;
    ring->most = FEW_PIECES;
    if (ring->woven < ring->classes + 2) ring->most += WOVEN_PARTS * (ring->classes + 2 - ring->woven);
    for (int c = 0; c < ring->classes; c++) ring->position_pages[c] = classes[c].start_pages;
    run->left_pages = lay_out(scenario, classes, ring);
    first_run(ring, run);
    run->normal_quota_pages = run->room_pages = quota(scenario, scenario->page_wire_bytes);
    run->zero_quota_pages = quota(scenario, scenario->zero_wire_bytes);
    run->now_s = run->counted_s = least(scenario->setup_s + scenario->lead_s, parameters->time_limit_s);
    price(scenario, run);
}

static inline void migrate(const PackedScenario *scenario, const PackedClass *classes, const Parameters *parameters,
                           Ring *ring, Result *result)
{
    Run run;
    double least_pages = INFINITY;
    int action, event = SYNCED;
    *result = (Result){0};
    begin(scenario, classes, parameters, ring, &run);
    for (;;) {
        if (event == SYNCED) sync_bitmap(scenario, classes, ring, &run);
        action = decide(parameters, event, &run);
        if (event == SYNCED) {
            if (run.left_pages < least_pages * (1.0 - 1e-3)) {
                least_pages = run.left_pages;
                run.best = (Counts){run.iteration, run.now_s, run.sent_bytes, run.normal_pages, run.marked_pages};
            } else if (action == CONTINUE && run.iteration - run.best.iteration > ROUNDS_TO_SETTLE) {
                action = skip(parameters, &run);
            }
        }
        run.turns += 1.0;
        bool goes_on = action == CONTINUE || action == SYNC;
        if (goes_on && (run.turns > MOST_TURNS || run.now_s > LAST_S)) action = give_up(parameters, &run);
        if (action == SYNC || (action == CONTINUE && event == EMPTY))
            event = SYNCED;
        else if (action == CONTINUE)
            event = send_pages(scenario, parameters, ring, &run);
        else
            break;
    }
    result->switchover_pages = run.left_pages;
    if (action == SWITCHOVER) {
        run.now_s += scenario->quiesce_s;
        run.stopped_s = run.now_s;
        sync_bitmap(scenario, classes, ring, &run);
        result->final_pages = run.left_pages;
        send_all(scenario, ring, &run);
        run.now_s += scenario->load_s + scenario->resume_s;
        run.stopped_s -= scenario->in_flight_s + scenario->translate_s;
        result->downtime_s = run.now_s - run.stopped_s;
        run.now_s += scenario->release_s;
    } else if (action == TIME_OUT) {
        run.now_s = least(run.now_s, parameters->time_limit_s);
    }
    result->action = action;
    result->total_s = run.now_s;
    result->sent_bytes = run.sent_bytes;
    result->iterations = least(run.iteration, MOST_SYNCS);
    result->normal_pages = run.normal_pages;
    result->zero_pages = run.zero_pages;
    result->marked_pages = run.marked_pages;
    result->left_pages = run.left_pages;
    result->stop_s = run.stopped_s;
    result->undecided = run.undecided;
    result->turns = run.turns;
}

/* Migrate scenarios of as many rows of classes each, one behind the other. */
void many(const PackedScenario *scenarios, const PackedClass *classes, long rows, long number,
          const Parameters *parameters, Result *results)
{
    Ring *ring = malloc(sizeof *ring);
    if (!ring) abort();
    for (long k = 0; k < number; k++)
        migrate(scenarios + k, classes + k * rows, parameters + k, ring, results + k);
    free(ring);
}
