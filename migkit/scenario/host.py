"""Calibrated constants of an installation: what its two hosts and their software cost."""

from __future__ import annotations

import dataclasses
import math

from migkit.scenario._fields import bounded, check

__all__ = ["Host"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Costs that a calibration fits; the defaults are those of a current x86 server.

    Attributes
    ----------
    goodput_bytes_per_s
        What one stream of the sending software reaches when neither cap nor link binds [B/s].
    receive_bytes_per_s
        What the receiving software takes in, all streams together [B/s].
    page_header_bytes
        Bytes on the wire beside a full page [B]; QEMU's are 8.
    zero_page_bytes
        Bytes on the wire for a zero page [B]; QEMU's are 9.
    page_cpu_s
        Processor time to read and send a full page [s].
    zero_page_cpu_s
        Processor time to find a zero page [s].
    postcopy_zero_page_cpu_s
        What a zero page costs more while post-copy pushes [s]: a system call at the destination places each
        (UFFDIO_ZEROPAGE; QEMU postcopy-ram.c), where pre-copy only looks at the page.
    sync_base_s
        Fixed cost of a bitmap sync [s].
    sync_per_page_s
        Cost of a bitmap sync for each page of the guest [s].
    setup_s
        From the request to the first byte [s].
    quiesce_s
        From the decision to switch over to the guest stopped [s].
    load_s
        From the last byte sent to the guest ready to run: device state and hand-shake [s].
    resume_s
        From ready to running [s].
    write_fault_s
        What tracking adds to the first write to a page after a sync [s]; it slows the guest.
    postcopy_bytes_per_s
        What the sending software pushes, and the receiving one places, in post-copy [B/s]; a page at a time may
        cost more than in long passes.
    fault_service_s
        What a demand fault of post-copy costs beside the round trip and the page's time on the wire [s].
    register_per_page_s
        Cost of marking one page as absent before the guest resumes in post-copy [s]; part of the downtime.
    discard_run_s
        Cost of discarding one run of dirty pages at the destination before the guest resumes there in post-copy [s];
        part of the downtime. QEMU tells it each run, and it calls madvise for each (ram.c, savevm.c); the
        downtime that QEMU reports ends before, at the source.
    tls_bytes_per_s
        What one stream encrypts [B/s]; counts when the strategy uses TLS.
    zlib_bytes_per_s
        Page bytes that one stream compresses with zlib [B/s].
    zstd_bytes_per_s
        Page bytes that one stream compresses with zstd [B/s].
    lz4_bytes_per_s
        Page bytes that one stream compresses with lz4 [B/s].
    xbzrle_bytes_per_s
        Page bytes that are compared with what was sent of them before, and encoded, all streams together [B/s];
        the harness's kernel does 1.6 GB/s on the machine of the README.
    xbzrle_header_bytes
        Bytes on the wire of a page sent as a difference, beside its runs [B]; QEMU's are 11 (ram.c: page header,
        encoding, length).
    xbzrle_run_bytes
        Bytes on the wire of a run of changed bytes, beside these [B]; QEMU's are 3 for most runs: two numbers of one
        byte below 128, else of two (xbzrle.c).
    xbzrle_same_bytes
        Bytes on the wire of a page that was marked dirty and is as it was sent [B]; QEMU sends nothing.
    disk_bytes_per_s
        What a checkpoint is written at [B/s].
    source_free_cores
        Processors free at the source; as many streams make progress at once.
    destination_free_cores
        Processors free at the destination; as many streams make progress at once.
    destination_free_memory_bytes
        Memory free at the destination [B]; a guest that does not fit is not admitted.
    poll_s
        How often a sender that no cap holds back looks at its rule [s]; QEMU's MAX_WAIT (ram.c) is 50 ms.
    window_extra_s
        What a rate window lasts beyond its 100 ms, in the mean [s].
    flush_pages
        A rate window ends with the first multiple of this many pages beyond its quota; 0: with the quota
        itself. None: as the policy's system does, see :class:`migkit.scenario.presets.Preset`.
    command_s
        From the moment at which a switch to post-copy is asked for to the sender's notice of it [s].
    firmware_bytes
        Non-zero memory that is sent once beside the guest's RAM [B]: firmware, tables, low memory. None: as the
        policy's system has it, see :class:`migkit.scenario.presets.Preset`.
    failures_per_h
        Failures an hour of either host or the path; times the exposure it is the risk of post-copy.
    """

    goodput_bytes_per_s: float = bounded(1.5e9, above=True)
    receive_bytes_per_s: float = bounded(math.inf, above=True)
    page_header_bytes: float = bounded(8.0)
    zero_page_bytes: float = bounded(9.0)
    page_cpu_s: float = bounded(0.0)
    zero_page_cpu_s: float = bounded(2.1e-7)
    postcopy_zero_page_cpu_s: float = bounded(2.4e-7)
    sync_base_s: float = bounded(0.0)
    sync_per_page_s: float = bounded(0.0)
    setup_s: float = bounded(0.006)
    quiesce_s: float = bounded(0.0)
    load_s: float = bounded(0.0)
    resume_s: float = bounded(0.0)
    write_fault_s: float = bounded(0.0)
    postcopy_bytes_per_s: float = bounded(math.inf, above=True)
    fault_service_s: float = bounded(0.0)
    register_per_page_s: float = bounded(0.0)
    discard_run_s: float = bounded(1.4e-6)
    tls_bytes_per_s: float = bounded(6.25e8, above=True)
    zlib_bytes_per_s: float = bounded(1.0e8, above=True)
    zstd_bytes_per_s: float = bounded(3.2e8, above=True)
    lz4_bytes_per_s: float = bounded(7.0e8, above=True)
    xbzrle_bytes_per_s: float = bounded(1.6e9, above=True)
    xbzrle_header_bytes: float = bounded(11.0)
    xbzrle_run_bytes: float = bounded(3.0)
    xbzrle_same_bytes: float = bounded(0.0)
    disk_bytes_per_s: float = bounded(1.0e9, above=True)
    source_free_cores: float = bounded(math.inf, above=True)
    destination_free_cores: float = bounded(math.inf, above=True)
    destination_free_memory_bytes: float = bounded(math.inf)
    poll_s: float = bounded(0.05, above=True)
    window_extra_s: float = bounded(1e-4)
    flush_pages: float | None = bounded(None)
    command_s: float = bounded(0.01)
    firmware_bytes: int | None = bounded(None)
    failures_per_h: float = bounded(0.0)

    def __post_init__(self) -> None:
        check(self, "host")

    def sends_as_harness(self) -> Host:
        """Return these hosts with the page-copy harness as their software, instead of QEMU.

        Its windows keep to their grid and end with the quota, it takes orders at once, a zero page costs it
        the same in every strategy, pages count one by one when they are marked as absent, and a difference is
        made of words (:mod:`migkit.kernels.delta`).

        Examples
        --------
        >>> Host().sends_as_harness().flush_pages
        0.0
        """
        return dataclasses.replace(
            self,
            window_extra_s=0.0,
            flush_pages=0.0,
            command_s=0.0,
            firmware_bytes=0,
            postcopy_zero_page_cpu_s=0.0,
            discard_run_s=0.0,
            xbzrle_header_bytes=12.0,
            xbzrle_run_bytes=4.0,
            xbzrle_same_bytes=16.0,
        )
