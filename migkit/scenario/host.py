"""Calibrated constants of an installation: what its two hosts and their software cost."""

from __future__ import annotations

import dataclasses

from migkit.scenario._fields import bounded, check

__all__ = ["Host"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Costs that a calibration fits; the defaults are those of a current x86 server.

    Attributes
    ----------
    goodput_bytes_per_s
        What the sending software reaches when neither cap nor link binds [B/s].
    page_header_bytes, zero_page_bytes
        Bytes on the wire beside a full page, and for a zero page [B]; 8 and 9 are QEMU's.
    page_cpu_s, zero_page_cpu_s
        Processor time to read and send a full page, and to find a zero page [s].
    sync_base_s, sync_per_page_s
        A bitmap sync costs ``sync_base_s + sync_per_page_s x guest pages`` [s].
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
    """

    goodput_bytes_per_s: float = bounded(1.5e9, above=True)
    page_header_bytes: float = bounded(8.0)
    zero_page_bytes: float = bounded(9.0)
    page_cpu_s: float = bounded(0.0)
    zero_page_cpu_s: float = bounded(2e-7)
    sync_base_s: float = bounded(0.0)
    sync_per_page_s: float = bounded(0.0)
    setup_s: float = bounded(0.0)
    quiesce_s: float = bounded(0.0)
    load_s: float = bounded(0.0)
    resume_s: float = bounded(0.0)
    write_fault_s: float = bounded(0.0)

    def __post_init__(self) -> None:
        check(self)
