"""The wire protocol: frames over TCP connections.

A frame is a header of four little-endian 64-bit words, its payload, and one more word, its checksum:

====  =====================================================================================
word  meaning
====  =====================================================================================
0     magic ``MGK`` and protocol version (low 32 bits), kind of frame (high 32 bits)
1     sequence number of the frame in its direction, from 0
2     count: pages in a ``PAGES`` frame, else 0
3     length of the payload [B], at most :data:`MAX_PAYLOAD_BYTES`
...   payload
last  checksum of words 0 to 3, of the page headers, and of the rest of the payload, chained
      (:func:`migkit.harness.protocol.pages.checksum`); right behind the payload, so that either side
      sums up each part of it while that is still in the processor's cache
====  =====================================================================================

``PAGES`` payloads are described in :mod:`migkit.harness.protocol.pages`. A page that was sent before may go as a
difference (:mod:`migkit.harness.protocol.encoding.delta`). ``STATE`` holds the registers, ``ABSENT`` and
``DEMAND`` hold words, all others JSON. So ``n`` full and ``z`` zero pages in ``f`` frames cost
``4104 n + 9 z + 40 f`` bytes.

A migration::

    source                                  destination
    HELLO (token, layout, options)   ->
                                     <-     WELCOME, or REFUSE (reason)
    PAGES ...                        ->
    ROUND (totals so far)            ->           at each bitmap sync
                                                  the guest stops at the source
    PAGES ... STATE PREPARE (totals) ->
                                     <-     PREPARED
    COMMIT                           ->           from here on the source never resumes the guest
                                     <-     CONFIRM (the guest runs)

The totals of a round are the full and the zero pages sent so far, and the sum of the checksums of all frames
that held them, modulo 2^61: a round is whole when just those frames have arrived, over whichever connection.

Whoever connects has a limited time to say ``HELLO``. Strangers are told why they may not come in (``REFUSE``, or
``ABORT`` when what they say is not allowed) and dropped; the destination goes on listening until its one source has
come, its time is over, or its owner says that nobody will come. Of those who are inside and have not been let in, at
most 64 at a time, the oldest is dropped, first of those who are silent. A source whose connection is closed before it
has heard ``WELCOME`` or a reason tries again, a few times.

A ``PACKED`` frame is a ``PAGES`` frame whose payload is compressed: one word, then the data. The high 32 bits
of the word are the compressor's number (:data:`migkit.harness.protocol.encoding.codec.CODES`), the low 32 bits
the expanded length. The sender uses it where that is shorter.

Further connections join the first one. The source says ``JOIN`` with their ``purpose`` and ``count``; the
destination, which stopped listening when the migration began, listens again on the same port, answers ``JOIN``,
and lets in as many ``HELLO`` with the same token and that ``purpose``. Meanwhile the first connection is silent: its
end is the end of the migration.

``"stream"``: 2 to 256 connections over which all ``PAGES`` of pre-copy go instead, before the first of them.
``FLUSH`` follows on each of them before every ``ROUND`` and ``PREPARE`` of the first connection; the destination
goes on, on any connection, when all have come.

``"demands"``: post-copy's second connection, for pages that the guest waits for; it joins while the guest still
runs at the source.
``ABSENT`` frames (pairs of words: half-open page ranges still to come) precede ``STATE``, and after ``CONFIRM``::

    first connection
    PAGES ...                        ->           background push
                                     <-     COMPLETE (no page is absent)
    second connection
                                     <-     DEMAND (page numbers) when the guest waits for pages
    PAGES (those)                    ->           at once; no page comes twice

Without ``strategy.preempt`` those pages come over the first connection instead, before what is not sent yet.

When either connection fails after ``COMMIT``, both are given up. The guest runs on and waits where it needs
what is absent; the destination listens again, for one ``HELLO`` with the same token (and certificate) and
``"purpose": "recovery"``, which takes the place of the first connection::

    HELLO ->  <- WELCOME  <- ABSENT ... (all that is absent now)  <- JOIN

Then the source opens the second connection as before, and both go on; a recovery that fails is begun anew for as
long as there is time: what was sent and never arrived is
among what is absent, so it is sent again. Sequence numbers begin anew on each connection. Should the source
not come back in time, or be dead, the guest is lost, since what it needs is nowhere else.

``ABORT`` (reason) may come from either side at any time before ``COMMIT``. A frame with an unknown
kind or version, a wrong sequence number, length or checksum ends the connection with ``ABORT``, and so do registers
in ``STATE`` that no guest of this layout can have. What a token and a certificate prove, and what no peer is
trusted with, stands in :mod:`migkit.harness.protocol.security`.
"""

from __future__ import annotations

from migkit.harness.protocol.frame import (
    FRAME_BYTES,
    FRAME_PAGES,
    HEADER_WORDS,
    MAX_PAYLOAD_BYTES,
    VERSION,
    Frame,
    WireError,
    check_pages,
    page_ranges,
)
from migkit.harness.protocol.kinds import *  # noqa: F403
from migkit.harness.protocol.receiver import Receiver
from migkit.harness.protocol.sender import Sender
from migkit.harness.protocol.transport import ConnectionLostError, part, set_patience

__all__ = [
    "FRAME_BYTES",
    "FRAME_PAGES",
    "HEADER_WORDS",
    "MAX_PAYLOAD_BYTES",
    "VERSION",
    "ConnectionLostError",
    "Frame",
    "Receiver",
    "Sender",
    "WireError",
    "check_pages",
    "page_ranges",
    "part",
    "set_patience",
]
