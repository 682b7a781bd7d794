"""Calibrated constants of an installation: what its two hosts and their software cost."""

from __future__ import annotations

import dataclasses
import math

from migkit.scenario.form.declaration import documented, rule
from migkit.scenario.form.fields import Noun, check
from migkit.scenario.installation.platforms import PLATFORMS, USUAL
from migkit.scenario.installation.typical import Typical

__all__ = ["Host"]


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host(Noun):
    """Costs that a calibration fits, and what is typical where nobody stated or fitted them.

    A constant that is given is exact. One that is not is a
    :class:`~migkit.scenario.installation.typical.Typical`: a number with the spread that such hosts show, from
    which the intervals of a prediction are drawn.

    Examples
    --------
    >>> Host().is_calibrated, Host(platform="xen").load_s, Host(load_s=0.02).load_s
    (False, 0.06, 0.02)
    """

    platform: str | None = dataclasses.field(
        default=None,
        metadata=rule(
            "What runs on the hosts; it says what is typical where nothing is stated. None: what the policy's system "
            "runs on.",
            choices=tuple(PLATFORMS),
        ),
    )

    goodput_bytes_per_s: float = dataclasses.field(
        default=USUAL["goodput_bytes_per_s"],
        metadata=rule("What one stream of the sending software reaches when neither cap nor link binds.", above=True),
    )
    receive_bytes_per_s: float = dataclasses.field(
        default=math.inf,
        metadata=rule("What the receiving software takes in, all streams together.", above=True),
    )
    page_header_bytes: float = dataclasses.field(
        default=8.0,
        metadata=rule("Bytes on the wire beside a full page; QEMU's are 8."),
    )
    zero_page_bytes: float = dataclasses.field(
        default=9.0,
        metadata=rule("Bytes on the wire for a zero page; QEMU's are 9."),
    )
    page_cpu_s: float = dataclasses.field(default=0.0, metadata=rule("Processor time to read and send a full page."))
    zero_page_cpu_s: float = dataclasses.field(
        default=USUAL["zero_page_cpu_s"], metadata=rule("Processor time to find a zero page.")
    )
    postcopy_zero_page_cpu_s: float = dataclasses.field(
        default=USUAL["postcopy_zero_page_cpu_s"],
        metadata=rule(
            "What a zero page costs more while post-copy pushes: a system call at the destination places each "
            "(UFFDIO_ZEROPAGE; QEMU postcopy-ram.c), where pre-copy only looks at the page.",
        ),
    )
    untouched_page_cpu_s: float = dataclasses.field(
        default=7e-7,
        metadata=rule(
            "What a zero page costs more that the guest has never touched: to read it is a page fault of the source "
            "(0.8 to 1 us in all, reported of idle guests)."
        ),
    )
    sync_base_s: float = dataclasses.field(
        default=USUAL["sync_base_s"], metadata=rule("Fixed cost of a bitmap sync.")
    )
    sync_per_page_s: float = dataclasses.field(
        default=USUAL["sync_per_page_s"],
        metadata=rule("Cost of a bitmap sync for each page of the guest."),
    )
    setup_s: float = dataclasses.field(default=USUAL["setup_s"], metadata=rule("From the request to the first byte."))
    quiesce_s: float = dataclasses.field(
        default=0.0,
        metadata=rule("From the decision to switch over to the guest stopped."),
    )
    stop_s: float = dataclasses.field(
        default=USUAL["stop_s"],
        metadata=rule("To stop the guest's devices and a first processor; part of the downtime."),
    )
    stop_per_vcpu_s: float = dataclasses.field(
        default=USUAL["stop_per_vcpu_s"],
        metadata=rule("To stop each of the guest's virtual processors; part of the downtime."),
    )
    flush_disks_s: float = dataclasses.field(
        default=USUAL["flush_disks_s"],
        metadata=rule("To finish and flush what is on its way to the guest's disks; part of the downtime."),
    )
    machine_state_bytes: float = dataclasses.field(
        default=USUAL["machine_state_bytes"],
        metadata=rule(
            "State of processors, chipset and firmware, sent while the guest is stopped; that of ``guest.devices`` "
            "is added.",
        ),
    )
    load_s: float = dataclasses.field(
        default=USUAL["load_s"],
        metadata=rule("From the last byte sent to the guest ready to run: device state and hand-shake."),
    )
    resume_s: float = dataclasses.field(default=USUAL["resume_s"], metadata=rule("From ready to running."))
    translate_block_s: float = dataclasses.field(
        default=USUAL["translate_block_s"],
        metadata=rule(
            "To translate a block of the guest's code where software emulates its processors: the destination starts "
            "with none. Times guest.restart_blocks, it is part of the downtime and not of the total time.",
        ),
    )
    announce_s: float = dataclasses.field(
        default=USUAL["announce_s"],
        metadata=rule(
            "From running to known in the network again, where the system counts that as downtime; QEMU sends its "
            "first announcement at once (net/announce.c).",
        ),
    )
    reconnect_s: float = dataclasses.field(
        default=USUAL["reconnect_s"],
        metadata=rule("Until a vhost-user backend has connected at the destination; part of the downtime."),
    )
    in_flight_bytes: float = dataclasses.field(
        default=USUAL["in_flight_bytes"],
        metadata=rule(
            "What the buffers of one connection hold when the path is slower than the sender: bytes that count as "
            "sent and have not arrived. A stopped guest waits for them, so that they lengthen the downtime of "
            "pre-copy and not its total time. Linux lets a TCP socket hold up to ``net.ipv4.tcp_wmem``.",
        ),
    )
    release_s: float = dataclasses.field(
        default=USUAL["release_s"],
        metadata=rule(
            "From the guest running at the destination to the source released, where the guest was moved by "
            "pre-copy or stopped: part of the total time and not of the downtime.",
        ),
    )
    write_fault_s: float = dataclasses.field(
        default=0.0,
        metadata=rule("What tracking adds to the first write to a page after a sync; it slows the guest."),
    )
    postcopy_bytes_per_s: float = dataclasses.field(
        default=math.inf,
        metadata=rule(
            "What the sending software pushes, and the receiving one places, in post-copy; a page at a time may "
            "cost more than in long passes.",
            above=True,
        ),
    )
    fault_service_s: float = dataclasses.field(
        default=USUAL["fault_service_s"],
        metadata=rule(
            "What a demand fault of post-copy costs beside the round trip and the page's time on the wire.",
        ),
    )
    register_per_page_s: float = dataclasses.field(
        default=0.0,
        metadata=rule(
            "Cost of marking one page as absent before the guest resumes in post-copy; part of the downtime.",
        ),
    )
    discard_run_s: float = dataclasses.field(
        default=1.4e-6,
        metadata=rule(
            "Cost of discarding one run of dirty pages at the destination before the guest resumes there in "
            "post-copy; part of the downtime. QEMU tells it each run, and it calls madvise for each (ram.c, "
            "savevm.c); the downtime that QEMU reports ends before, at the source.",
        ),
    )
    tls_bytes_per_s: float = dataclasses.field(
        default=USUAL["tls_bytes_per_s"],
        metadata=rule("What one stream encrypts; counts when the strategy uses TLS.", above=True),
    )
    zlib_bytes_per_s: float = dataclasses.field(
        default=USUAL["zlib_bytes_per_s"],
        metadata=rule("Page bytes that one stream compresses with zlib.", above=True),
    )
    zstd_bytes_per_s: float = dataclasses.field(
        default=USUAL["zstd_bytes_per_s"],
        metadata=rule("Page bytes that one stream compresses with zstd.", above=True),
    )
    lz4_bytes_per_s: float = dataclasses.field(
        default=USUAL["lz4_bytes_per_s"],
        metadata=rule("Page bytes that one stream compresses with lz4.", above=True),
    )
    xbzrle_bytes_per_s: float = dataclasses.field(
        default=USUAL["xbzrle_bytes_per_s"],
        metadata=rule(
            "Page bytes that are compared with what was sent of them before, and encoded, all streams together; "
            "the harness's kernel does 1.6 GB/s on the machine of the README.",
            above=True,
        ),
    )
    xbzrle_header_bytes: float = dataclasses.field(
        default=11.0,
        metadata=rule(
            "Bytes on the wire of a page sent as a difference, beside its runs; QEMU's are 11 (ram.c: page "
            "header, encoding, length).",
        ),
    )
    xbzrle_run_bytes: float = dataclasses.field(
        default=3.0,
        metadata=rule(
            "Bytes on the wire of a run of changed bytes, beside these; QEMU's are 3 for most runs: two numbers "
            "of one byte below 128, else of two (xbzrle.c).",
        ),
    )
    xbzrle_same_bytes: float = dataclasses.field(
        default=0.0,
        metadata=rule("Bytes on the wire of a page that was marked dirty and is as it was sent; QEMU sends nothing."),
    )
    disk_bytes_per_s: float = dataclasses.field(
        default=USUAL["disk_bytes_per_s"],
        metadata=rule("What a checkpoint is written at.", above=True),
    )
    source_free_cores: float = dataclasses.field(
        default=math.inf,
        metadata=rule("Processors free at the source; as many streams make progress at once.", above=True),
    )
    destination_free_cores: float = dataclasses.field(
        default=math.inf,
        metadata=rule("Processors free at the destination; as many streams make progress at once.", above=True),
    )
    destination_free_memory_bytes: float = dataclasses.field(
        default=math.inf,
        metadata=rule("Memory free at the destination; a guest that does not fit is not admitted."),
    )
    poll_s: float = dataclasses.field(
        default=0.05,
        metadata=rule(
            "How often a sender that no cap holds back looks at its rule, 1 ms or more; QEMU MAX_WAIT (ram.c): 50 "
            "ms.",
            low=0.001,
        ),
    )
    window_extra_s: float = dataclasses.field(
        default=USUAL["window_extra_s"],
        metadata=rule("What a rate window lasts beyond its 100 ms, in the mean."),
    )
    flush_pages: float | None = dataclasses.field(
        default=None,
        metadata=rule(
            "A rate window ends with the first multiple of this many pages beyond its quota; 0: with the quota "
            "itself. None: as the policy's system does, see :class:`migkit.policies.presets.Preset`.",
        ),
    )
    command_s: float = dataclasses.field(
        default=USUAL["command_s"],
        metadata=rule("From the moment at which a switch to post-copy is asked for to the sender's notice of it."),
    )
    firmware_bytes: int | None = dataclasses.field(
        default=None,
        metadata=rule(
            "Non-zero memory that is sent once beside the guest's RAM: firmware, tables, low memory. None: as the "
            "policy's system has it, see :class:`migkit.policies.presets.Preset`.",
        ),
    )
    failures_per_h: float = dataclasses.field(
        default=0.0,
        metadata=rule("Failures an hour of either host or the path; times the exposure it is the risk of post-copy."),
    )

    def __post_init__(self) -> None:
        check(self, "host")
        if self.platform is not None:
            self._set_typical(self.platform)

    def _set_typical(self, platform: str) -> None:
        """Replace what is typical of another platform by what is of this one."""
        for name, value in self._other_than(platform).items():
            object.__setattr__(self, name, value)

    def _other_than(self, platform: str) -> dict[str, Typical]:
        """Return what is typical of a platform where something else, as typical of another, stands here."""
        typical = {**USUAL, **PLATFORMS[platform]}
        here = {name: getattr(self, name) for name in typical}
        return {
            name: typical[name] for name, own in here.items() if type(own) is Typical and own is not typical[name]
        }

    def on(self, platform: str) -> Host:
        """Return these hosts with what is typical of a platform in the place of all that is not stated.

        Examples
        --------
        >>> Host(setup_s=0.1).on("xen").setup_s, Host().on("xen").load_s
        (0.1, 0.06)
        """
        if not self._other_than(self.platform or platform):
            return self
        other = dataclasses.replace(self)
        other._set_typical(self.platform or platform)
        return other

    @property
    def uncertain(self) -> tuple[str, ...]:
        """Names of the constants that nobody stated and that differ between hosts, or that were told with a spread.

        Examples
        --------
        >>> "load_s" in Host().uncertain, "load_s" in Host(load_s=0.02).uncertain
        (True, False)
        """
        names = (*USUAL, "receive_bytes_per_s")
        return tuple(name for name in names if getattr(getattr(self, name), "is_uncertain", False))

    @property
    def is_calibrated(self) -> bool:
        """Whether speed and load, which decide most of time and downtime, are known of these very hosts."""
        return not any(type(getattr(self, name)) is Typical for name in ("goodput_bytes_per_s", "load_s"))

    def sends_as_harness(self) -> Host:
        """Return these hosts with the page-copy harness as their software, instead of QEMU.

        Its windows keep to their grid and end with the quota, it takes orders at once, a zero page costs it
        the same in every strategy, pages count one by one when they are marked as absent, and a difference is
        made of words (:mod:`migkit.harness.protocol.encoding.delta`).

        Examples
        --------
        >>> Host().sends_as_harness().flush_pages
        0.0
        """
        return dataclasses.replace(
            self,
            platform="harness",
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
