"""Where each page class of a scenario lies in the guest, and the command line that tells the guest so."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from migkit.errors import UsageError
from migkit.scenario import DirtyClass, Guest
from migkit.units import GIB, MIB, PAGE_BYTES, format_size

__all__ = [
    "FIRST_BYTE",
    "MOST_BYTES",
    "PROCESSORS",
    "Piece",
    "as_run",
    "command_line",
    "placed",
    "worked_s",
]

FIRST_BYTE: Final = 2 * MIB  # below it are the firmware and the guest's program
MOST_BYTES: Final = 3 * GIB  # what a PC has below its devices, all that 32 bits reach
PROCESSORS: Final = 8
_SLICES: Final = 16  # of each class of random writes, and of the pages written once, when they lie interleaved
_MOST_PIECES: Final = 400  # in guest.c, as are the numbers that follow
_MOST_PHASES: Final = 16
_FILLS: Final = {"zero": 0, "random": 1, "constant": 2}
_KINDS: Final = {"random": 0, "sweep": 1, "growth": 2}
_WORD_BYTES: Final = 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Pages in a row that one processor of the guest writes in one manner.

    Attributes
    ----------
    first_page, pages
        Where they are.
    fill
        What they hold before: ``zero``, ``random`` or ``constant``.
    kind
        As in a page class; a ``growth`` begins at the piece's first page.
    processor
        Which one writes.
    writes_per_s, reads_per_s
        By that processor [1/s].
    source
        The page class that it is a part of; None: written once, never again.
    """

    first_page: int
    pages: int
    fill: str
    kind: str = "random"
    processor: int = 0
    writes_per_s: float = 0.0
    reads_per_s: float = 0.0
    source: DirtyClass | None = None


def as_run(guest: Guest, seed: int, before_s: float = 0.0) -> Guest:
    """Return ``guest`` as it can be run: memory below 2 MiB stays zero, and every sweep stands somewhere.

    A sweep whose place is not known gets one from ``seed``; a growth of which that is not known begins with the
    guest's work, ``before_s`` before the migration; of a cycle of phases the migration meets the beginning.

    Raises
    ------
    UsageError
        The guest has a size, a rate or a class that the bare-metal guest cannot have.

    Examples
    --------
    >>> as_run(Guest(memory_bytes=64 * MIB), seed=1).zero_bytes == FIRST_BYTE
    True
    """
    _check(guest)
    draw = random.Random(seed)
    classes = [_standing(one, draw, before_s) for one in guest.dirty]
    return dataclasses.replace(guest, zero_bytes=max(guest.zero_bytes, FIRST_BYTE), dirty=tuple(classes))


def _standing(one: DirtyClass, draw: random.Random, before_s: float) -> DirtyClass:
    page = draw.randrange(one.region_pages)
    if one.phases and one.phase_offset_s is None:
        one = dataclasses.replace(one, phase_offset_s=0.0)
    if one.kind == "growth":
        return dataclasses.replace(one, sweep_offset_bytes=_grown_bytes(one, before_s))
    if one.kind != "sweep" or one.sweep_offset_bytes is not None:
        return one
    return dataclasses.replace(one, sweep_offset_bytes=page * PAGE_BYTES)


def _grown_bytes(one: DirtyClass, before_s: float) -> int:
    """Return how far a growth has come when the migration begins."""
    worked_bytes = int(min(one.region_pages, one.writes_per_s * worked_s(one, before_s))) * PAGE_BYTES
    wanted_bytes = worked_bytes if one.sweep_offset_bytes is None else min(one.sweep_offset_bytes, one.region_bytes)
    if wanted_bytes < worked_bytes:
        raise UsageError(
            f"guest.dirty.sweep_offset: {format_size(wanted_bytes)} of the growth cannot be all that is written when "
            f"the migration begins; in the {before_s:g} s before it the guest writes {format_size(worked_bytes)}; "
            "leave it out, give more, or a shorter --warm-up"
        )
    return wanted_bytes


def _check(guest: Guest) -> None:
    name, memory = "guest.memory", format_size(guest.memory_bytes)
    if guest.memory_bytes % MIB or not 16 * MIB <= guest.memory_bytes <= MOST_BYTES:
        raise UsageError(f"{name}: {memory} is not possible; the bare-metal guest has 16 MiB to 3 GiB, in whole MiB")
    regions = sum(c.region_bytes for c in guest.dirty)
    if regions > guest.memory_bytes - FIRST_BYTE:
        raise UsageError(
            f"guest.dirty: {format_size(regions)} of regions do not fit; of {memory} the firmware and the guest's "
            "program keep 2 MiB; shrink a region or add memory"
        )
    for one in guest.dirty:
        if one.zero_share:
            raise UsageError(
                f"guest.dirty.zero_share: {one.zero_share:g} is not possible; the bare-metal guest empties no page; "
                "use a Linux (--guest stress-ng) or the harness (migkit capture)"
            )
        if len(one.phases) > _MOST_PHASES:
            raise UsageError(f"guest.dirty.phases: {len(one.phases)} steps are too many; at most {_MOST_PHASES} fit")


def placed(guest: Guest, processors: int = 1, before_s: float = 0.0) -> list[Piece]:
    """Return the pieces of memory in address order, from 2 MiB on.

    Parameters
    ----------
    guest
        As :func:`as_run` returns it. With the layout ``interleaved``, classes of random writes and the pages written
        once are cut into slices that take turns, behind what is written in order.
    processors
        Among so many the writes are divided: each has its part of a class of random writes, a sweep has one.
    before_s
        For how long it works before the migration begins [s]: what a growth had written by then is written at once.

    Examples
    --------
    >>> hot = DirtyClass(region_bytes=4 * MIB, writes_per_s=100.0)
    >>> guest = Guest(memory_bytes=16 * MIB, zero_bytes=8 * MIB, dirty=(hot,), layout="blocks")
    >>> pieces = placed(guest, processors=2)
    >>> [(piece.first_page, piece.pages, piece.writes_per_s) for piece in pieces]
    [(512, 512, 50.0), (1024, 512, 50.0), (1536, 1024, 0.0)]
    """
    slices = _SLICES if guest.layout == "interleaved" else 1
    parts = [_parts(one, guest.fill, slices, processors, before_s) for one in guest.dirty]
    parts.append(_once(guest, slices))
    whole = [each for each in parts if slices == 1 or any(part.kind != "random" for part in each)]
    ordered = [part for each in whole for part in each]
    ordered += _in_turns([each for each in parts if each not in whole])
    if len(ordered) > _MOST_PIECES:
        raise UsageError(
            f"guest.dirty: {len(ordered)} pieces of memory are too many for the bare-metal guest, at most "
            f"{_MOST_PIECES} fit; use fewer classes, fewer processors or the layout blocks"
        )
    return list(_behind_each_other(ordered))


def _parts(one: DirtyClass, fill: str, slices: int, processors: int, before_s: float) -> list[Piece]:
    if one.kind == "sweep":
        return [_part(one, one.region_pages, fill, "sweep")]
    if one.kind == "growth":
        return _growth(one, fill, before_s)
    sizes = _cut(one.region_pages, max(processors, slices))
    return [_part(one, pages, fill, "random", at % processors) for at, pages in enumerate(sizes)]


def _growth(one: DirtyClass, fill: str, before_s: float) -> list[Piece]:
    """Return what a growth has written when the guest begins to work, and the rest, which is zero."""
    worked_pages = one.writes_per_s * worked_s(one, before_s)
    ready = max(0, round((one.sweep_offset_bytes or 0) / PAGE_BYTES - worked_pages))
    grows = dataclasses.replace(_part(one, one.region_pages, "zero", "growth"), pages=one.region_pages - ready)
    return [Piece(first_page=0, pages=ready, fill=fill), grows] if ready else [grows]


def _once(guest: Guest, slices: int) -> list[Piece]:
    """Return the pages that are written once."""
    rest = guest.memory_pages - guest.zero_pages - sum(c.region_pages for c in guest.dirty)
    return [Piece(first_page=0, pages=pages, fill=guest.fill) for pages in _cut(rest, slices)] if rest > 0 else []


def _cut(pages: int, count: int) -> list[int]:
    """Return the sizes of at most ``count`` slices [pages]."""
    count = min(pages, count)
    return [pages * (at + 1) // count - pages * at // count for at in range(count)]


def _part(one: DirtyClass, pages: int, fill: str, kind: str, processor: int = 0) -> Piece:
    share = pages / one.region_pages
    return Piece(
        first_page=0,
        pages=pages,
        fill=fill,
        kind=kind,
        processor=processor,
        writes_per_s=share * one.writes_per_s,
        reads_per_s=share * one.reads_per_s,
        source=one,
    )


def _in_turns(parts: Sequence[Sequence[Piece]]) -> Iterator[Piece]:
    for turn in range(max(map(len, parts), default=0)):
        yield from (each[turn] for each in parts if turn < len(each))


def _behind_each_other(pieces: Iterable[Piece]) -> Iterator[Piece]:
    page = FIRST_BYTE // PAGE_BYTES
    for piece in pieces:
        yield dataclasses.replace(piece, first_page=page)
        page += piece.pages


def command_line(guest: Guest, pieces: Sequence[Piece], processors: int, before_s: float) -> str:
    """Return what tells the guest its pieces.

    Parameters
    ----------
    guest, pieces
        As :func:`as_run` and :func:`placed` return them.
    processors
        How many it has.
    before_s
        How long it works until the migration begins [s]: sweeps and phases start so much earlier.

    Examples
    --------
    >>> guest = as_run(Guest(memory_bytes=16 * MIB, zero_bytes=16 * MIB), seed=1)
    >>> command_line(guest, placed(guest), 1, before_s=0.5)
    '@1 4096 0 0'
    """
    known = [piece for piece in pieces if piece.pages]
    head = f"@{processors} {guest.memory_pages} {len(known)} {round(1e3 * (guest.capacity_writes_per_s or 0.0))}"
    return " ".join([head, *(_numbers(piece, before_s) for piece in known)])


def _numbers(piece: Piece, before_s: float) -> str:
    one = piece.source
    phases = one.phases if one else ()
    cycle_s = sum(duration for duration, _ in phases)
    rewrite_bytes = one.rewrite_bytes if one else _WORD_BYTES
    fields = [
        *(piece.first_page, piece.pages, 1, _FILLS[piece.fill], _KINDS[piece.kind], piece.processor),
        _start(piece, before_s),
        *(round(1e3 * piece.writes_per_s), round(1e3 * piece.reads_per_s)),
        -(-rewrite_bytes // _WORD_BYTES),
        *_phase_at(((one.phase_offset_s or 0.0) - before_s) % cycle_s if one and cycle_s else 0.0, phases),
    ]
    return " ".join(map(str, fields))


def _phase_at(offset_s: float, phases: Sequence[tuple[float, float]]) -> list[int]:
    """Return the numbers of a cycle: begun for so long, then its steps from the one that is under way."""
    at = 0
    while phases and offset_s >= phases[at][0]:
        offset_s -= phases[at][0]
        at = (at + 1) % len(phases)
    steps = [number for step in (*phases[at:], *phases[:at]) for number in (1e6 * step[0], 1e6 * step[1])]
    return [round(1e6 * offset_s), len(phases), *map(round, steps)]


def _start(piece: Piece, before_s: float) -> int:
    """Return the page of a sweep at which it stands where it shall, after so much work."""
    one = piece.source
    if piece.kind != "sweep" or one is None:
        return 0
    wanted = (one.sweep_offset_bytes or 0) // PAGE_BYTES
    return (wanted - round(one.writes_per_s * worked_s(one, before_s))) % piece.pages


def worked_s(one: DirtyClass, before_s: float) -> float:
    """Return for how long at intensity 1 a class works in the time before the migration [s].

    Examples
    --------
    >>> worked_s(DirtyClass(region_bytes=4096, writes_per_s=1, phases=((1.0, 1.0), (1.0, 0.0))), before_s=0.5)
    0.0
    >>> worked_s(DirtyClass(region_bytes=4096, writes_per_s=1), before_s=0.5)
    0.5
    """
    if not one.phases:
        return before_s
    begins_s = one.phase_offset_s or 0.0
    return _worked_until(one, begins_s) - _worked_until(one, begins_s - before_s)


def _worked_until(one: DirtyClass, time_s: float) -> float:
    """Return the work from the start of a cycle to ``time_s``, which may lie before it."""
    cycles, in_cycle_s = divmod(time_s, sum(duration for duration, _ in one.phases))
    return cycles * sum(duration * intensity for duration, intensity in one.phases) + _work_until(one, in_cycle_s)


def _work_until(one: DirtyClass, end_s: float) -> float:
    done = begun = 0.0
    for duration_s, intensity in one.phases:
        done += intensity * max(0.0, min(duration_s, end_s - begun))
        begun += duration_s
    return done
