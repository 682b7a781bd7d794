/* The expected-value engine of migkit/kernels/precopy.py under QEMU's rule, for classes of random
 * writes without phases, an unlimited schedule and no throttle: the same algorithm, written for speed in C.
 * The benchmark passes the slots of the records (migkit/kernels/layout.py) as macros. */
#include <math.h>
#include <string.h>

enum { PIECES = 64 };
#define SLACK_S 1e-9 /* two moments nearer than this are one */
typedef struct { int segment; double pages, share, first; } Piece;
enum { CONTINUE, SYNC, SWITCHOVER };
enum { WINDOW, EMPTY, SYNCED };

static inline double flushed(double pages, double flush)
{
    return flush == 0 ? pages : (floor(pages / flush) + 1) * flush;
}

static inline double quota(const double *r, double wire)
{
    double pages = r[CAP] * r[WINDOW_S] / wire;
    return isinf(pages) ? pages : 0.5 * (flushed(pages, r[FLUSH_PAGES]) + flushed(pages, r[FLUSH_PAGES_TOO]));
}

static inline int decide(int event, double left, double bandwidth, double limit_s, double *wake_pages)
{
    double threshold = bandwidth * limit_s, remaining = left * 4096.0;
    *wake_pages = threshold / 4096.0;
    if (remaining > 0 && remaining >= threshold) return CONTINUE;
    if (remaining < threshold && event != SYNCED) return SYNC;
    return SWITCHOVER;
}

static void pass(Piece *ring, int *head, int *count, int classes, double pages, double pending)
{
    Piece *first = &ring[*head];
    int segment = first->segment;
    double passed = first->pages, from = first->first;
    if (pages < pending) {
        passed *= pages / pending;
        first->pages -= passed;
        first->first += passed;
    } else {
        *head = (*head + 1) % PIECES;
        --*count;
    }
    if (segment < classes) {
        Piece *last = &ring[(*head + *count + PIECES - 1) % PIECES];
        if (*count > 0 && last->segment == segment && last->share == 0 && last->first < from) {
            last->pages += passed;
        } else {
            ring[(*head + *count) % PIECES] = (Piece){segment, passed, 0, from};
            ++*count;
        }
    }
}

static double mark(const double *r, Piece *ring, int head, int count, int classes, double span_s)
{
    double left = 0;
    for (int i = 0; i < count; i++) {
        Piece *p = &ring[(head + i) % PIECES];
        if (p->segment < classes) {
            const double *c = r + CLASS_BASE + p->segment * CLASS_SLOTS;
            double writes = c[WRITES_PER_S] * span_s, newly = 0;
            if (writes > 0) newly = -expm1(-writes / c[PAGES]);
            p->share += (1 - p->share) * newly;
        }
        left += p->pages * p->share;
    }
    return left;
}

static void one(const double *r, double limit_s, double *out)
{
    Piece ring[PIECES];
    int classes = (int)r[CLASSES], head = 0, count = 0, action, event;
    double left = 0, bytes = 0, sent[2] = {0, 0}, window_bytes = 0, bandwidth = 0, wake_pages, iterations = 1;
    double marked_all, mark_s;
    for (int c = 0; c < classes + 2; c++) {
        double size = c < classes ? r[CLASS_BASE + c * CLASS_SLOTS + PAGES] : r[c == classes ? NORMAL_PAGES : ZERO_PAGES];
        if (size > 0) { ring[count++] = (Piece){c, size, 1, 0}; left += size; }
    }
    double quotas[2] = {quota(r, r[PAGE_WIRE_BYTES]), quota(r, r[ZERO_WIRE_BYTES])};
    double window_s = r[WINDOW_S] + r[WINDOW_EXTRA_S];
    double now = r[SETUP_S] + r[LEAD_S], start = r[LEAD_S], check;
    mark_s = now;
    marked_all = left;
    now += r[SYNC_S];
    check = now + r[POLL_S];
    action = decide(SYNCED, left, bandwidth, limit_s, &wake_pages);
    for (;;) {
        if (action == SYNC) {
            double before = left;
            left = mark(r, ring, head, count, classes, now - mark_s);
            mark_s = now;
            marked_all += left - before;
            iterations++;
            now += r[SYNC_S];
            check = now + r[POLL_S];
            action = decide(SYNCED, left, bandwidth, limit_s, &wake_pages);
            continue;
        }
        if (action != CONTINUE) break;
        event = EMPTY;
        while (left > 0) {
            Piece *p = &ring[head];
            double pending = p->pages * p->share;
            int zero = p->segment > classes;
            double wire = r[zero ? ZERO_WIRE_BYTES : PAGE_WIRE_BYTES], quota_pages = quotas[zero];
            double page_s = fmax(wire / r[GOODPUT], r[zero ? ZERO_CPU_S : PAGE_CPU_S]);
            double by_bytes = fmax(0, quota_pages - window_bytes / wire), by_time = fmax(0, ceil((check - now - SLACK_S) / page_s));
            double pages = fmin(by_bytes, by_time), number = 0;
            if (pending <= pages) {
                pages = pending;
                now += pages * page_s;
            } else if (by_bytes <= by_time) {
                number = 1;
                if (window_bytes == 0 && fabs(quota_pages * wire / window_s - bandwidth) <= 1e-9 * bandwidth) {
                    number = fmin(floor(pending / quota_pages), floor((left - wake_pages) / quota_pages) + 1);
                    number = fmax(1, number);
                    pages = number * quota_pages;
                }
                now += fmin(pages, quota_pages) * page_s;
            } else {
                now += pages * page_s;
                number = now >= fmax(check, start + r[WINDOW_S]) - SLACK_S;
            }
            left -= pages;
            bytes += pages * wire;
            sent[zero] += pages;
            window_bytes += pages * wire;
            pass(ring, &head, &count, classes, pages, pending);
            if (left <= 1e-4) left = 0;
            if (number == 0 && (pages == pending || now < check - SLACK_S)) continue;
            double before = bandwidth;
            check = now + r[POLL_S];
            if (number > 0) {
                double end = start + number * window_s;
                if (number == 1) {
                    double late = fmax(0, now - end);
                    end += late;
                    bandwidth = window_bytes / (window_s + late);
                }
                now = start = end;
                window_bytes = 0;
                check = end + r[POLL_S];
            }
            if (left < wake_pages || !(fabs(bandwidth - before) <= 1e-9 * before)) { event = WINDOW; break; }
        }
        action = decide(event, left, bandwidth, limit_s, &wake_pages);
        if (event == EMPTY && action == CONTINUE) action = SYNC;
    }
    out[SWITCHOVER_PAGES] = left;
    now += r[QUIESCE_S];
    double before = left, stopped = now;
    left = mark(r, ring, head, count, classes, now - mark_s);
    marked_all += left - before;
    out[FINAL_PAGES] = left;
    now += r[SYNC_S];
    while (count > 0 && left > 0) {
        Piece *p = &ring[head];
        double pending = p->pages * p->share;
        int zero = p->segment > classes;
        double wire = r[zero ? ZERO_WIRE_BYTES : PAGE_WIRE_BYTES];
        now += pending * fmax(wire / r[GOODPUT], r[zero ? ZERO_CPU_S : PAGE_CPU_S]);
        left -= pending;
        bytes += pending * wire;
        sent[zero] += pending;
        pass(ring, &head, &count, classes, pending, pending);
        if (left <= 1e-4) left = 0;
    }
    now += r[LOAD_S] + r[RESUME_S];
    out[ACTION] = SWITCHOVER;
    out[TOTAL_S] = now;
    out[DOWNTIME_S] = now - stopped;
    out[SENT] = bytes;
    out[ITERATIONS] = iterations + 1;
    out[SENT_NORMAL] = sent[0];
    out[SENT_ZERO] = sent[1];
    out[MARKED] = marked_all;
}

void many(const double *records, long stride, long number, const double *parameters, double *results)
{
    for (long k = 0; k < number; k++) {
        memset(results + k * RESULT_SLOTS, 0, RESULT_SLOTS * sizeof(double));
        one(records + k * stride, parameters[k * PARAMETER_SLOTS + LIMIT_S], results + k * RESULT_SLOTS);
    }
}
