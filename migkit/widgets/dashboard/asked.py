"""A guest as planners know it: its memory, and a reading of its dirty rate or the name of a workload."""

from __future__ import annotations

from typing import NamedTuple

from migkit.calibrate.guest.fitting import fit_guest
from migkit.calibrate.guest.readings import of_text
from migkit.errors import UsageError
from migkit.planning.inventory.workloads import WORKLOADS, classes_of
from migkit.scenario import Guest
from migkit.units import PAGE_BYTES, size
from migkit.widgets.python import literal

__all__ = ["WRITES", "Asked", "asked"]

WRITES = 'As measured, with its window: "200 MiB/s in 1 s"; or a workload: ' + ", ".join(WORKLOADS) + "."


class Asked(NamedTuple):
    """The guests that fit what was said.

    Attributes
    ----------
    guests
        By what sets them apart, the one that writes least first.
    note
        What is open, in a sentence; empty: nothing.
    code
        Python that makes ``guests``.
    """

    guests: dict[str, Guest]
    note: str
    code: str


def asked(memory: str, writes: str) -> Asked:
    """Return the guests that fit a memory and what is said of their writes.

    Raises
    ------
    UsageError
        The memory is no size, or the writes are neither a rate with its window nor a workload.

    Examples
    --------
    >>> list(asked("8 GiB", "idle").guests)
    ['idle']
    >>> len(asked("8 GiB", "200 MiB/s in 1 s").guests)
    6
    """
    memory_bytes = size(memory, "memory") // PAGE_BYTES * PAGE_BYTES
    name = writes.strip().lower()
    if name in WORKLOADS:
        guest = Guest(memory_bytes=memory_bytes, dirty=classes_of(name, memory_bytes))
        made = f"Guest(memory_bytes={memory_bytes}, dirty=classes_of({literal(name)}, {memory_bytes}))"
        return Asked({name: guest}, "", f"guests = {{{literal(name)}: {made}}}")
    if " in " not in writes:
        raise UsageError(f"dirty rate: {literal(writes)} has no window; {WRITES[0].lower()}{WRITES[1:]}")
    fit = fit_guest([], [of_text(name := writes.strip(), "dirty rate")], memory_bytes=memory_bytes)
    guests = {member.name: member.guest for member in fit.family} or {"as measured": fit.guest}
    note = "One reading leaves open how the guest writes at other windows." if len(guests) > 1 else ""
    made = f"fit_guest([], [of_text({literal(name)})], memory_bytes={memory_bytes})"
    return Asked(guests, note, f"fit = {made}\nguests = {{member.name: member.guest for member in fit.family}}")
