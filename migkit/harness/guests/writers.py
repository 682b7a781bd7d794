"""The harness guest's page writers: every operation is a function of the seed and its number.

Guest time runs in ticks. In each tick every class does as many writes, then reads, as its rate
and phases give it up to the end of the tick, less what it did before; so the order of operations,
and with it the memory after operation N, depends on the seed and on N alone: not on the clock, on
stops, or on the process that runs them. All that must outlive a stop stands in the *registers*, an
int64 array that is part of the guest's memory.

Arithmetic stays within 63 bits, so that the plain Python functions give the same memory.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.jit import jit

__all__ = ["advance", "empty", "fill", "intensity_s", "is_emptied", "mix"]

TICK_S: Final = 1e-3
PAGE_WORDS: Final = 512

# Registers of a guest, kept in its memory.
SEED: Final = 0
OPERATIONS: Final = 1  # done so far, reads included
WRITES: Final = 2  # done so far
TICK: Final = 3  # ticks of guest time completed
CLASS: Final = 4  # where in the tick: class ...
DONE: Final = 5  # ... and operations of it that are done
READ_SUM: Final = 6  # of all words read: a wrong page shows even if it is never written
RUNNING_NS: Final = 7  # running time
OWED_NS: Final = 8  # guest time that the pacing has granted so far
STOPPED_NS: Final = 9  # clock when it stopped; 0: it runs
COUNTS: Final = 16  # writes of each class; from COUNTS + MAX_CLASSES on its reads
MAX_CLASSES: Final = 128
REGISTERS: Final = 512

# Columns of the class table, float64, one row of CLASS_COLUMNS a class.
FIRST_PAGE: Final = 0
PAGES: Final = 1
KIND: Final = 2  # dirty.RANDOM or dirty.SWEEP
WRITES_PER_S: Final = 3
READS_PER_S: Final = 4
REWRITE_WORDS: Final = 5
OFFSET_S: Final = 6
FIRST_PHASE: Final = 7
PHASES: Final = 8
ZERO_SHARE: Final = 9
CLASS_COLUMNS: Final = 10

_SWEEP: Final = 1
_LOW: Final = 0xFFFFFFFF


@jit
def mix(value: int) -> int:
    """Return a well mixed 32-bit number of a 32-bit number; two multiplications, each within 63 bits."""
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & _LOW
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & _LOW
    return value ^ (value >> 16)


@jit
def word(seed: int, index: int) -> int:
    """Return the 63-bit word that content number ``index`` has under ``seed``; it is never 0."""
    low = mix((index ^ seed) & _LOW)
    high = mix((low + (index >> 32) + (seed >> 32)) & _LOW)
    return (high << 31) ^ low | 1


@jit
def fill(memory: np.ndarray, first_word: int, end_word: int, seed: int, constant: bool) -> None:
    """Write the content that the guest starts with: the seed's own words, or one word throughout."""
    for i in range(first_word, end_word):
        memory[i] = 0x0101010101010101 if constant else word(seed, i)


@jit
def is_emptied(zero_share: float, value: int) -> bool:
    """Return whether a write of this word leaves its page zero instead, as so large a share of them does."""
    return zero_share > 0.0 and mix((value >> 7) & _LOW) < zero_share * (_LOW + 1.0)


@jit
def empty(memory: np.ndarray, first_page: int, pages: int, zero_share: float, seed: int) -> None:
    """Make a share of the pages of a region zero, as it is when the guest starts."""
    for page in range(first_page, first_page + pages):
        if is_emptied(zero_share, word(seed + 2, page)):
            memory[page * PAGE_WORDS : (page + 1) * PAGE_WORDS] = 0


@jit
def intensity_s(time_s: float, phases: np.ndarray) -> float:
    """Return the integral of a class's intensity from the start of its cycle to ``time_s`` [s].

    ``phases`` holds duration [s] and intensity, one behind the other; it repeats. Empty: intensity 1.
    """
    if phases.size == 0:
        return time_s
    cycle_s = 0.0
    area_s = 0.0
    for i in range(0, phases.size, 2):
        cycle_s += phases[i]
        area_s += phases[i] * phases[i + 1]
    cycles = np.floor(time_s / cycle_s)
    rest_s = time_s - cycles * cycle_s
    total_s = cycles * area_s
    for i in range(0, phases.size, 2):
        step_s = min(rest_s, phases[i])
        total_s += step_s * phases[i + 1]
        rest_s -= step_s
    return total_s


@jit
def advance(
    memory: np.ndarray,
    registers: np.ndarray,
    classes: np.ndarray,
    phases: np.ndarray,
    written: np.ndarray,
    target_tick: int,
    operation_limit: int,
) -> None:
    """Run the guest until ``target_tick`` is complete or ``operation_limit`` operations are done.

    Parameters
    ----------
    memory
        The guest's RAM as int64 words.
    registers
        Its registers; updated.
    classes, phases
        The class table, row behind row, and all phases (see the module's constants).
    written
        One byte a page that each write sets, after the write; empty: none is kept.
    target_tick
        Ticks of guest time to complete.
    operation_limit
        Operations after which to stop at once, wherever in the tick.

    Registers that no guest can have, as a forged checkpoint may bring them, stop it; whatever they are, no write
    leaves the memory and no counter those of its class.
    """
    seed = registers[SEED]
    count = min(classes.size // CLASS_COLUMNS, MAX_CLASSES)
    while registers[TICK] < target_tick:
        while registers[CLASS] < count:
            k = registers[CLASS]
            if k < 0:
                return
            row = classes[k * CLASS_COLUMNS : (k + 1) * CLASS_COLUMNS]
            if not _fits(row, memory, written):
                return
            before_s, after_s = _tick_intensity_s(row, phases, registers[TICK])
            writes = int(np.floor(row[WRITES_PER_S] * after_s) - np.floor(row[WRITES_PER_S] * before_s))
            reads = int(np.floor(row[READS_PER_S] * after_s) - np.floor(row[READS_PER_S] * before_s))
            while registers[DONE] < writes + reads:
                if registers[OPERATIONS] >= operation_limit:
                    return
                if registers[DONE] < writes:
                    _write(memory, registers, row, k, seed, written)
                else:
                    _read(memory, registers, row, k, seed)
                registers[DONE] += 1
                registers[OPERATIONS] += 1
            registers[DONE] = 0
            registers[CLASS] += 1
        registers[CLASS] = 0
        registers[TICK] += 1


@jit
def _tick_intensity_s(row: np.ndarray, phases: np.ndarray, tick: int) -> tuple[float, float]:
    first = int(row[FIRST_PHASE])
    own = phases[first : first + 2 * int(row[PHASES])]
    before_s = intensity_s(row[OFFSET_S] + tick * TICK_S, own)
    after_s = intensity_s(row[OFFSET_S] + (tick + 1) * TICK_S, own)  # to the bit what the next tick begins with
    return before_s, after_s


@jit
def _fits(row: np.ndarray, memory: np.ndarray, written: np.ndarray) -> bool:
    """Say whether every page of a class, and so every word that :func:`_page` leads to, is in the memory."""
    first, pages, length = int(row[FIRST_PAGE]), int(row[PAGES]), int(row[REWRITE_WORDS])
    inside = first >= 0 and pages > 0 and (first + pages) * PAGE_WORDS <= memory.size
    return inside and 0 < length <= PAGE_WORDS and (written.size == 0 or first + pages <= written.size)


@jit
def _page(row: np.ndarray, count: int, draw: int) -> int:
    """Return the page that an operation goes to: the next one of a sweep, or one drawn uniformly."""
    pages = int(row[PAGES])
    inside = count % pages if row[KIND] == _SWEEP else (draw * pages) >> 32
    return int(row[FIRST_PAGE]) + inside


@jit
def _write(
    memory: np.ndarray, registers: np.ndarray, row: np.ndarray, k: int, seed: int, written: np.ndarray
) -> None:
    value = word(seed + 1, registers[OPERATIONS])
    page = _page(row, registers[COUNTS + k], value & _LOW)
    length = int(row[REWRITE_WORDS])
    start = page * PAGE_WORDS + mix(value >> 31) % (PAGE_WORDS - length + 1)
    if is_emptied(row[ZERO_SHARE], value):
        memory[page * PAGE_WORDS : (page + 1) * PAGE_WORDS] = 0
    else:
        for i in range(length):
            memory[start + i] = value ^ (i << 8)
    if written.size:
        written[page] = 1
    registers[COUNTS + k] += 1
    registers[WRITES] += 1


@jit
def _read(memory: np.ndarray, registers: np.ndarray, row: np.ndarray, k: int, seed: int) -> None:
    value = word(seed + 2, registers[OPERATIONS])
    page = _page(row, registers[COUNTS + MAX_CLASSES + k], value & _LOW)
    seen = memory[page * PAGE_WORDS + mix(value >> 31) % PAGE_WORDS]
    registers[READ_SUM] = (registers[READ_SUM] + (seen & _LOW)) & 0x7FFFFFFFFFFF
    registers[COUNTS + MAX_CLASSES + k] += 1
