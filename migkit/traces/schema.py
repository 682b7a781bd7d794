"""One immutable, self-describing record of one real run: the contract between measuring and fitting."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from migkit.errors import TraceError
from migkit.traces.consistency import check_trace
from migkit.traces.provenance import provenance
from migkit.traces.vocabulary import KINDS, PHASES, ROUND_COLUMNS, SAMPLE_COLUMNS, SCHEMA_VERSION, VERDICTS
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    import pyarrow as pa

    from migkit.scenario import Scenario

__all__ = ["KINDS", "PHASES", "ROUND_COLUMNS", "SAMPLE_COLUMNS", "SCHEMA_VERSION", "VERDICTS", "Outcome", "Trace"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to.

    Attributes
    ----------
    verdict
        ``converges``, ``does_not_converge``, ``aborted`` or ``timed_out``.
    total_time_s
        Request to source released [s].
    downtime_s
        Guest stopped to guest running [s]; 0 when it never stopped.
    transferred_bytes
        Bytes on the wire, framing included.
    iterations
        Bitmap syncs, the first one included.
    remaining_at_switchover_bytes
        Page bytes that the last sync before the stop left [B].
    downtime_parts_s
        The parts of the downtime by name, e.g. ``quiesce_s``, ``final_sync_s``, ``final_copy_s``,
        ``load_s``, ``resume_s`` [s].
    guest_operations
        Page writes done by the guest when it stopped at the source; -1: not known.
    verified
        True: the memory at the destination was proven equal to that of an unmigrated guest.
    reason
        Why it ended, in words.
    """

    verdict: str
    total_time_s: float
    downtime_s: float
    transferred_bytes: int
    iterations: int
    remaining_at_switchover_bytes: int
    downtime_parts_s: Mapping[str, float]
    guest_operations: int
    verified: bool
    reason: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise TraceError(f"trace: verdict {self.verdict!r} is not one of {', '.join(VERDICTS)}")
        for name in (
            "total_time_s",
            "downtime_s",
            "transferred_bytes",
            "iterations",
            "remaining_at_switchover_bytes",
        ):
            _check_amount(name, getattr(self, name))
        for name, value in self.downtime_parts_s.items():
            _check_amount(f"downtime_parts_s[{name}]", value)

    def _repr_html_(self) -> str:
        lines = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in self._told())
        return f"<table>{lines}</table>"

    def _told(self) -> Iterator[tuple[str, str]]:
        """Yield what a person is told: names and values with their units."""
        yield "verdict", f"{self.verdict}: {self.reason}" if self.reason else self.verdict
        yield "total time", format_duration(self.total_time_s)
        yield "downtime", format_duration(self.downtime_s)
        parts = sorted(self.downtime_parts_s.items(), key=lambda part: -part[1])
        if parts:
            words = (f"{name.removesuffix('_s').replace('_', ' ')} {format_duration(value)}" for name, value in parts)
            yield "of it", ", ".join(words)
        yield "sent", format_size(self.transferred_bytes)
        yield "rounds", str(self.iterations)
        yield "left when the guest was stopped", format_size(self.remaining_at_switchover_bytes)
        yield "memory at the destination", "proven equal, bit for bit" if self.verified else "not proven equal"


def _check_amount(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise TraceError(f"trace: outcome {name} is {value!r}; it must be a finite number of at least 0")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One run; checked when it is built, so that every trace is consistent in itself.

    Attributes
    ----------
    scenario
        What was moved, over what, by which rule.
    kind
        Where it was measured: ``harness`` or ``qemu``; ``computed``: by a model.
    machine
        Facts of the machine and software, e.g. kernel, processor, versions, tracker.
    samples
        Table with SAMPLE_COLUMNS, in order of time; one row a window and one at each event.
    rounds
        Table with ROUND_COLUMNS, one row a bitmap sync; the last one is the final copy. Their sent bytes
        add up to those of the outcome.
    outcome
        What it came to.
    provenance
        migkit version, creation time, python, kernel, command and seed; see :mod:`migkit.traces.provenance`.

    Raises
    ------
    TraceError
        Columns, types, order of time or sums are not as above.
    """

    scenario: Scenario
    kind: str
    machine: Mapping[str, Any]
    samples: pa.Table
    rounds: pa.Table
    outcome: Outcome
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=provenance)

    def __post_init__(self) -> None:
        check_trace(self)
