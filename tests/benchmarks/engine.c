/* The expected-value engine of migkit/engine/precopy.py under QEMU's rule, for pre-copy of random classes without phases
 * over a path of one speed: the same algorithm over the same records, written for speed in C. It gives up where the
 * engine jumps over rounds that are alike. The benchmark passes where the fields of records stand, as macros
 * RECORD_field, and the names of migkit/policies/record.py with P_ before them. */
#include <math.h>
#include <string.h>

enum { PIECES = 64, MAX_CLASSES = 64 };
#define NOTHING 1e-4
#define SLACK_S 1e-9
#define ROUNDS_TO_SETTLE 50
typedef struct { int segment; double pages, share, first; } Piece;

static inline double least(double a, double b) { return b < a ? b : a; }
static inline double most(double a, double b) { return b > a ? b : a; }

/* The run of pages ahead of the scan pointer, which cost alike. */
typedef struct { double ahead, zeros_behind, wire, page_s, quota, full_bandwidth; int zero; } Run;
typedef struct { Piece pieces[PIECES]; int head, count; } Ring;

static inline double flushed(double pages, double flush)
{
    return flush == 0 ? pages : (floor(pages / flush) + 1) * flush;
}

static inline double quota(const double *r, double wire)
{
    double pages = r[PackedScenario_cap_bytes_per_s] * r[PackedScenario_window_s] / wire;
    return isinf(pages) ? pages : 0.5 * (flushed(pages, r[PackedScenario_flush_pages]) + flushed(pages, r[PackedScenario_flush_pages_too]));
}

/* QEMU's rule within migkit/policies/decision.py: readings and orders stand in the state record. */
static inline int decide(double *state, const double *p)
{
    if (state[State_now_s] >= p[Parameters_time_limit_s]) return P_TIME_OUT;
    if (p[Parameters_strategy] != P_PRECOPY) return P_SWITCHOVER;
    double bandwidth = p[Parameters_switchover_bandwidth_bytes_per_s] > 0 ? p[Parameters_switchover_bandwidth_bytes_per_s] : state[State_bandwidth_bytes_per_s];
    double threshold = bandwidth * p[Parameters_downtime_limit_s], remaining = state[State_remaining_bytes];
    state[State_downtime_limit_s] = p[Parameters_downtime_limit_s];
    state[State_wake_remaining_bytes] = threshold;
    state[State_wake_time_s] = p[Parameters_time_limit_s];
    if (remaining > 0 && remaining >= threshold) return P_CONTINUE;
    if (remaining < threshold && state[State_event] != P_SYNCED) return P_SYNC;
    return P_SWITCHOVER;
}

/* Write the readings of a decision and take it. */
static inline int ask(double *state, const double *p, int event, double now, double left, double bytes, double pages,
                      double synced_bytes)
{
    state[State_now_s] = now;
    state[State_event] = event;
    state[State_remaining_bytes] = left * 4096.0;
    state[State_sent_bytes] = bytes;
    state[State_sent_pages] = pages;
    state[State_round_sent_bytes] = bytes - synced_bytes;
    return decide(state, p);
}

static inline void price(const double *r, Run *run, const double *quotas, double window_s)
{
    run->wire = r[run->zero ? PackedScenario_zero_wire_bytes : PackedScenario_page_wire_bytes];
    run->quota = quotas[run->zero];
    run->page_s = most(run->wire / r[PackedScenario_goodput_bytes_per_s], r[run->zero ? PackedScenario_zero_cpu_s : PackedScenario_page_cpu_s]);
    run->full_bandwidth = run->quota * run->wire / window_s;
}

static inline void next_run(const double *r, Run *run, const double *quotas, double window_s, double left)
{
    run->zero = run->zeros_behind > 0;
    run->ahead = run->zero ? run->zeros_behind : left;
    run->zeros_behind = 0;
    price(r, run, quotas, window_s);
}

static void turn(Ring *ring, int classes, double passed)
{
    for (int left = ring->count; left > 0 && passed > NOTHING; left--) {
        Piece *first = &ring->pieces[ring->head];
        int segment = first->segment;
        double pages = first->pages, pending = pages * first->share, from = first->first;
        if (pending > passed + NOTHING) {
            pages *= passed / pending;
            first->pages -= pages;
            first->first += pages;
            passed = 0;
        } else {
            passed -= pending;
            ring->head = (ring->head + 1) % PIECES;
            ring->count--;
        }
        if (segment < classes) {
            Piece *last = &ring->pieces[(ring->head + ring->count + PIECES - 1) % PIECES];
            if (ring->count > 0 && last->segment == segment && last->share == 0 && last->first < from)
                last->pages += pages;
            else
                ring->pieces[(ring->head + ring->count++) % PIECES] = (Piece){segment, pages, 0, from};
        }
    }
}

static double mark(const double *classes, int count, Ring *ring, Run *run, double passed, double span_s)
{
    double newly[MAX_CLASSES], left = 0, ahead = 0;
    turn(ring, count, passed);
    for (int c = 0; c < count; c++) {
        const double *class = classes + c * PackedClass_SIZE;
        double writes = class[PackedClass_writes_per_s] * span_s;
        newly[c] = writes > 0 ? -expm1(-writes / class[PackedClass_pages]) : 0;
    }
    for (int i = 0; i < ring->count; i++) {
        Piece *p = &ring->pieces[(ring->head + i) % PIECES];
        int c = p->segment;
        if (c < count)
            p->share += (1 - p->share) * newly[c];
        else if (c > count)
            ahead = left;
        left += p->pages * p->share;
    }
    if (!run->zero) run->ahead = run->zeros_behind > 0 ? ahead : left;
    return left;
}

static void one(const double *r, const double *classes, const double *p, double *out)
{
    Ring ring;
    double state[State_SIZE] = {0}, best = INFINITY, best_at = 0, kept[6], synced_bytes = 0;
    int count = (int)r[PackedScenario_class_count], action, event;
    double left = 0, bytes = 0, sent[2] = {0, 0}, window_bytes = 0, bandwidth = 0;
    ring.head = ring.count = 0;
    for (int c = 0; c < count + 2; c++) {
        double size = c < count ? classes[c * PackedClass_SIZE + PackedClass_pages]
                                : r[c == count ? PackedScenario_normal_pages : PackedScenario_zero_pages];
        if (size > 0) { ring.pieces[ring.count++] = (Piece){c, size, 1, 0}; left += size; }
    }
    double quotas[2] = {quota(r, r[PackedScenario_page_wire_bytes]), quota(r, r[PackedScenario_zero_wire_bytes])};
    double window_s = r[PackedScenario_window_s] + r[PackedScenario_window_extra_s], passed = 0, room = quotas[0];
    double now = r[PackedScenario_setup_s] + r[PackedScenario_lead_s], start = r[PackedScenario_lead_s], check, mark_s = now, marked_all = left, stopped = now;
    Run run = {left - r[PackedScenario_zero_pages], r[PackedScenario_zero_pages]};
    price(r, &run, quotas, window_s);
    event = P_SYNCED;
    for (int stopping = 0;;) {
        if (event == P_SYNCED || stopping) {
            double before = left, synced_s = now;
            if (state[State_iteration] > 0) {
                left = mark(classes, count, &ring, &run, passed, now - mark_s);
                marked_all += left - before;
                state[State_dirtied_pages] = left - before;
            }
            passed = 0;
            mark_s = now;
            state[State_iteration]++;
            now += r[PackedScenario_sync_s];
            check = now + r[PackedScenario_poll_s];
            if (stopping) break;
            action = ask(state, p, event, now, left, bytes, sent[0] + sent[1], synced_bytes);
            state[State_round_start_s] = synced_s;
            synced_bytes = bytes;
            if (left < best * (1 - 1e-3)) {
                best = left;
                best_at = state[State_iteration];
                memcpy(kept, (double[]){now, bytes, sent[0], marked_all, 0, 0}, sizeof kept);
            } else if (state[State_iteration] - best_at > ROUNDS_TO_SETTLE) {
                action = SETTLED;
            }
        } else {
            action = ask(state, p, event, now, left, bytes, sent[0] + sent[1], synced_bytes);
        }
        if (action == P_SYNC || (event == P_EMPTY && action == P_CONTINUE)) {
            event = P_SYNCED;
            continue;
        }
        if (action == P_SWITCHOVER) {
            out[Result_switchover_pages] = left;
            now += r[PackedScenario_quiesce_s];
            stopped = now;
            stopping = 1;
            continue;
        }
        if (action != P_CONTINUE) break;
        double wake_pages = state[State_wake_remaining_bytes] / 4096.0, wake_s = state[State_wake_time_s];
        event = P_EMPTY;
        while (left > 0) {
            if (run.ahead <= 0) {
                next_run(r, &run, quotas, window_s, left);
                room = most(0, run.quota - window_bytes / run.wire);
            }
            double pages = least(run.ahead, room), sent_s = now + pages * run.page_s, number = 0;
            double by_time = INFINITY;
            if (sent_s > check - SLACK_S) by_time = most(0, ceil((check - now - SLACK_S) / run.page_s));
            if (by_time < pages) {
                pages = by_time;
                sent_s = now + pages * run.page_s;
                number = sent_s >= most(check, start + r[PackedScenario_window_s]) - SLACK_S;
            } else if (run.ahead > room) {
                number = 1;
                if (window_bytes == 0 && fabs(run.full_bandwidth - bandwidth) <= 1e-9 * bandwidth) {
                    number = floor(least(run.ahead, left - wake_pages + room) / room);
                    if (wake_s - now < number * window_s) number = ceil((wake_s - now) / window_s);
                    number = most(1, number);
                    pages = number * room;
                }
            }
            now = sent_s;
            run.ahead -= pages;
            room -= pages;
            passed += pages;
            bytes += pages * run.wire;
            sent[run.zero] += pages;
            window_bytes += pages * run.wire;
            left = left - pages > NOTHING ? left - pages : 0;
            if (number == 0 && (run.ahead <= 0 || now < check - SLACK_S)) continue;
            double before = bandwidth;
            if (number > 0) {
                now = start + number * window_s;
                if (number == 1) {
                    now = most(now, sent_s);
                    bandwidth = window_bytes / (now - start);
                }
                start = now;
                room = run.quota;
                window_bytes = 0;
            }
            check = now + r[PackedScenario_poll_s];
            if (left < wake_pages || now >= wake_s || !(fabs(bandwidth - before) <= 1e-9 * before)) {
                event = P_WINDOW;
                break;
            }
        }
        state[State_bandwidth_bytes_per_s] = bandwidth;
    }
    out[Result_final_pages] = left;
    while (left > 0) {
        if (run.ahead <= 0) next_run(r, &run, quotas, window_s, left);
        double pages = run.ahead;
        now += pages * run.page_s;
        left -= pages;
        bytes += pages * run.wire;
        sent[run.zero] += pages;
        run.ahead = 0;
        if (left <= NOTHING) left = 0;
    }
    now += r[PackedScenario_load_s] + r[PackedScenario_resume_s];
    stopped -= r[PackedScenario_in_flight_s];
    out[Result_action] = action;
    out[Result_total_s] = now + r[PackedScenario_release_s];
    out[Result_downtime_s] = now - stopped;
    out[Result_sent_bytes] = bytes;
    out[Result_iterations] = state[State_iteration];
    out[Result_normal_pages] = sent[0];
    out[Result_zero_pages] = sent[1];
    out[Result_marked_pages] = marked_all;
}

/* Scenarios of as many classes each, one behind the other. */
void many(const double *scenarios, const double *classes, long number, const double *parameters, double *results)
{
    long count = (long)scenarios[PackedScenario_class_count];
    for (long k = 0; k < number; k++) {
        memset(results + k * Result_SIZE, 0, Result_SIZE * sizeof(double));
        one(scenarios + k * PackedScenario_SIZE, classes + k * count * PackedClass_SIZE,
            parameters + k * Parameters_SIZE, results + k * Result_SIZE);
    }
}
