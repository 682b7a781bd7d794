"""Slots of the record that holds the scalars and the page classes of a packed scenario.

One scenario is two 1-D float64 arrays and a record: the *record* (scalars, then ``CLASS_SLOTS`` for
each page class), the *steps* (phases of all classes and the link's schedule, as pairs), and
the policy's :class:`~migkit.policies.record.Parameters`. :func:`migkit.engine.packing.pack`
fills them.
"""

from __future__ import annotations

from typing import Final

# Guest
NORMAL_PAGES: Final = 0  # written once, never dirtied
ZERO_PAGES: Final = 1
CLASSES: Final = 2
CAPACITY: Final = 3  # writes/s flat out; 0: the guest runs flat out already
GRAIN_PAGES: Final = 4  # pages that one bit of tracking covers
FILL_ZERO: Final = 5  # 1: regions start as zero pages
WOVEN: Final = 6  # the first class that lies interleaved, up to zero pages among them; infinite: none does
ZERO_FIRST_PAGES: Final = 7  # of the zero pages, those in one run at the start of memory

# Path and hosts
GOODPUT: Final = 8  # nothing but the cap limits it further [B/s]
CAP: Final = 9  # [B/s]
PAGE_WIRE_BYTES: Final = 10  # a full page on the wire
ZERO_WIRE_BYTES: Final = 11
PAGE_CPU_S: Final = 12
ZERO_CPU_S: Final = 13
SYNC_S: Final = 14
SETUP_S: Final = 15
QUIESCE_S: Final = 16
LOAD_S: Final = 17  # all that is done while the guest is stopped, but sync, pages and resume
RESUME_S: Final = 18
WRITE_FAULT_S: Final = 19
STEP_FIRST: Final = 20  # of the link's schedule in steps
STEP_COUNT: Final = 21
RTT_S: Final = 22
FAULT_SERVICE_S: Final = 23
REGISTER_PER_PAGE_S: Final = 24
LEAD_S: Final = 25  # before the first byte of memory: checkpoint, storage, ramp of TCP
DEVICE_BYTES: Final = 26  # state beside memory, sent while the guest is stopped
STORAGE_BYTES: Final = 27  # copied along; policies count it
ZERO_LAST_PAGES: Final = 28  # ... and those in one run at its end
LEAD_PAGES: Final = 29  # of what lies interleaved, those that lie ahead of the first run of zero pages

# The sender's windows
WINDOW_S: Final = 32
WINDOW_EXTRA_S: Final = 33  # what a real window lasts longer
POLL_S: Final = 34  # how often the rule is looked at when the cap does not bind
FLUSH_PAGES: Final = 35  # a window ends with the first multiple of it beyond the quota; 0: with the quota
FLUSH_PAGES_TOO: Final = 36  # or with the first of this one, with equal odds

# Strategy
PREFETCH_PAGES: Final = 42
POSTCOPY_CAP: Final = 43  # of the push in post-copy [B/s]
POSTCOPY_GOODPUT: Final = 44
POSTCOPY_ZERO_CPU_S: Final = 45  # to place a zero page at the destination
XBZRLE_PAGES: Final = 46  # that the cache of sent pages holds; 0: pages are always sent in full
XBZRLE_HEADER_BYTES: Final = 47  # of a page sent as a difference, beside its runs
XBZRLE_RUN_BYTES: Final = 48  # of a run of changed bytes, beside these
XBZRLE_SAME_BYTES: Final = 49  # of a page that is as it was
XBZRLE_CPU_S: Final = 50  # to compare a page with what was sent of it
DISCARD_RUN_S: Final = 51  # to discard a run of pages at the destination before post-copy
QUEUE_BYTES: Final = 52  # on their way ahead of a demanded page; 0: those have a connection of their own

CLASS_BASE: Final = 56
# Per class
KIND: Final = 0
PAGES: Final = 1
WRITES_PER_S: Final = 2
PHASE_FIRST: Final = 3
PHASE_COUNT: Final = 4
PHASE_OFFSET_S: Final = 5
READS_PER_S: Final = 6
REWRITE_BYTES: Final = 7  # of a page that one write changes, in whole words
START_PAGES: Final = 8  # where a sweep stands when the migration begins
CLASS_SLOTS: Final = 9

# The action of a result that never ends
SETTLED: Final = 9
