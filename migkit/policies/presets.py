"""What a named policy is: a rule, the defaults of a system, their version and their source."""

from __future__ import annotations

import dataclasses
import math

from migkit.policies import decision as kernel
from migkit.policies.systems import OWN_SYSTEM, System
from migkit.records import Record

__all__ = ["Preset", "Setting"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One number that a rule reads; its name carries its unit.

    Attributes
    ----------
    name, default
        The documented default, in the unit that the name says; switches are 1 or 0.
    common
        It is a field of the parameter record itself; otherwise one of the policy's own settings.
    positive
        It must not be 0.
    option
        What people of the system call it, where that is another name.
    """

    name: str
    default: float
    common: bool = False
    positive: bool = False
    option: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A rule under its name, with the defaults of the system that it stands for.

    Attributes
    ----------
    name, summary
        What it is called, and what it does in one sentence.
    version, source
        For which versions of the system this holds, and what says so.
    code
        Which function of :mod:`migkit.policies.decision`.
    rule
        A registered Python function in its place; None for the rules that come with migkit.
    own
        The record of the policy's own settings.
    memory
        Names of what a registered rule remembers.
    max_bandwidth_bytes_per_s, downtime_limit_s
        Defaults of the fields of :class:`migkit.scenario.Policy` [B/s], [s].
    counts_passes
        The rule looks at the number and the size of passes and knows no downtime limit.
    system
        What the system can do at all, and what it does without being asked.
    flush_pages
        A rate window ends with the first multiple of so many pages beyond its quota. QEMU up to 8.1 counts
        each page as it is queued, later ones when a buffer of 32 pages is flushed (qemu-file.c,
        migration-stats.c). Two different numbers: either, the version is not said, and the mean is taken.
    firmware_bytes
        Non-zero memory beside the guest's RAM [B]: 464 KiB in the reference runs of QEMU's PC with SeaBIOS (the
        blocks pc.bios and pc.rom, and low memory); 0 where the system says nothing of its machine.
    demands_at_once
        While the push of post-copy waits for its next window, a demanded page that has a connection of its own is
        sent. QEMU 10.0 and 11.1 do so; 7.2 sends it with the next window, and so does each over one connection
        (savevm.c, qemu_savevm_state_iterate: nothing beyond the quota).
    push_follows
        The push goes on behind the page that was demanded. Over one connection each QEMU does
        so; where demands have their own, QEMU up to 8.1 does, and from 10.1 on (ram.c, ram_page_hint_update).
    keeps_cap
        Post-copy keeps its cap up to the last page. QEMU does from 10.1 on. Before, it completes post-copy as it does
        pre-copy: once less is pending than the downtime limit takes at the measured bandwidth, the rest goes without
        a cap (migration.c, ram_save_complete).
    settings
        Further numbers.
    """

    name: str
    summary: str
    version: str
    source: str
    code: int
    rule: kernel.Rule | None = None
    own: type[Record] = Record
    memory: tuple[str, ...] = ()
    max_bandwidth_bytes_per_s: float = math.inf
    downtime_limit_s: float = 0.3
    counts_passes: bool = False
    system: System = OWN_SYSTEM
    flush_pages: tuple[float, float] = (1.0, 32.0)
    firmware_bytes: int = 0
    demands_at_once: bool = True
    push_follows: bool = False
    keeps_cap: bool = False
    settings: tuple[Setting, ...] = ()

    @property
    def is_qemu(self) -> bool:
        """Whether QEMU sends the pages, whoever manages it."""
        return any(setting.common for setting in self.settings)
