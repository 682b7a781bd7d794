"""Which constants a set of traces can tell, and which run to add for those that it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from migkit.calibrate.observe import ENCODINGS, FREE_BYTES, Block
from migkit.units import format_size

if TYPE_CHECKING:
    from migkit.traces import Trace

__all__ = ["INVERSES", "REMEDIES", "Identified", "identified"]

INVERSES: Final[Mapping[str, str]] = {  # what the blocks are linear in, and the speed that it stands for
    "seconds_per_byte": "goodput_bytes_per_s",
    "seconds_per_pushed_byte": "postcopy_bytes_per_s",
    **{f"seconds_per_{name}_byte": f"{name}_bytes_per_s" for name in ENCODINGS},
}
_SIZES_APART: Final = 1.5  # memory sizes must differ by this factor to tell base from per-page cost
_PAGES: Final = 1024  # so many pages of a kind must be sent to tell their cost

REMEDIES: Final[Mapping[str, str]] = {
    "page_header_bytes": "no run sent pages in full; add a run of a guest whose memory is not all zero",
    "zero_page_bytes": "no run sent zero pages; add a run of a guest with zero memory",
    "sync_base_s": (
        "all guests have the same size, so the fixed cost of a sync and its cost per page cannot be told apart; "
        "add a run with a guest of at least 1.5 times the memory"
    ),
    "sync_per_page_s": "no run synced its bitmap while the guest ran; add a pre-copy run",
    "goodput_bytes_per_s": (
        f"no run sent {format_size(FREE_BYTES)} in one pass of plain pages without a cap; add a run without a cap "
        "(pre-copy or stop-copy, no TLS, no compression, one stream)"
    ),
    "zero_page_cpu_s": (
        "no runs without a cap differ in their zero pages; add a run without a cap of a guest with zero memory"
    ),
    "load_s": "no run switched over; add a run that converges",
    "setup_s": "no run came to its first sync; add a run that does",
    "quiesce_s": "no run switched over; add a run that converges",
    "resume_s": "no run switched over; add a run that converges",
    "release_s": "no run that tells its rounds switched over; add a run that converges",
    "postcopy_bytes_per_s": (
        f"no run pushed {format_size(FREE_BYTES)} of plain pages in post-copy without a cap; add a post-copy run "
        "(max_postcopy_bandwidth unlimited, no TLS, no compression, one stream)"
    ),
    "postcopy_zero_page_cpu_s": (
        "no post-copy runs differ in their zero pages; add one of a guest with zero memory and one without"
    ),
    "fault_service_s": "no guest waited for pages in post-copy; add a post-copy run of a guest that writes",
    "register_per_page_s": "no run went post-copy; add a post-copy run",
    **{
        f"{name}_bytes_per_s": (
            f"no run sent {format_size(FREE_BYTES)} in one pass without a cap with {name} alone; "
            f"add a run without a cap with {name}, one stream"
        )
        for name in ENCODINGS
    },
    "write_fault_s": (
        "no run counts the operations of a guest that writes at a steady rate; add a run of such a guest"
    ),
}


class Identified(NamedTuple):
    """What the traces tell and what they do not, with the run to add."""

    constants: frozenset[str]
    refused: Mapping[str, str]


def identified(blocks: Sequence[Block], traces: Sequence[Trace]) -> Identified:
    """Return the constants that the rows of ``blocks`` tell."""
    by_name = {block.name: block for block in blocks}
    told = {name: test(by_name, traces) for name, test in _TESTS.items()}
    refused = {name: REMEDIES[name] for name, good in told.items() if not good}
    constants = {name for name, good in told.items() if good}
    constants |= {inverse for inverse, name in INVERSES.items() if name in constants}
    return Identified(frozenset(constants), refused)


_Test = Callable[[Mapping[str, Block], Sequence["Trace"]], bool]


def _pages(column: int) -> _Test:
    def test(blocks: Mapping[str, Block], traces: Sequence[Trace]) -> bool:
        return bool(blocks["framing"].design[:, column].sum() >= _PAGES)

    return test


def _has_rows(name: str) -> _Test:
    def test(blocks: Mapping[str, Block], traces: Sequence[Trace]) -> bool:
        return bool(blocks[name].observed.size)

    return test


def _sizes(blocks: Mapping[str, Block], traces: Sequence[Trace]) -> bool:
    pages = blocks["sync"].design[:, 1]
    return bool(pages.size and pages.max() >= _SIZES_APART * pages.min())


def _free_pass(name: str) -> _Test:
    def test(blocks: Mapping[str, Block], traces: Sequence[Trace]) -> bool:
        return bool((blocks[name].design[:, 0] >= FREE_BYTES).any())

    return test


def _zero_share(name: str) -> _Test:
    """Zero pages are told from bytes when the passes mix them unlike."""

    def test(blocks: Mapping[str, Block], traces: Sequence[Trace]) -> bool:
        design = blocks[name].design
        if not _free_pass(name)(blocks, traces) or design[:, 1].sum() < _PAGES:
            return False
        columns = design[:, :2] / np.linalg.norm(design[:, :2], axis=0)
        return bool(np.linalg.svd(columns, compute_uv=False)[-1] > 0.05)

    return test


def _loads(blocks: Mapping[str, Block], traces: Sequence[Trace]) -> bool:
    return any((blocks[name].design[:, 2] > 0).any() for name in ("path", *ENCODINGS))


def _faults(blocks: Mapping[str, Block], traces: Sequence[Trace]) -> bool:
    return bool(blocks["tracking"].design.sum() >= _PAGES)


_TESTS: Final[Mapping[str, _Test]] = {
    "page_header_bytes": _pages(0),
    "zero_page_bytes": _pages(1),
    "sync_base_s": _sizes,
    "sync_per_page_s": _has_rows("sync"),
    "goodput_bytes_per_s": _free_pass("path"),
    "zero_page_cpu_s": _zero_share("path"),
    **{f"{name}_bytes_per_s": _free_pass(name) for name in ENCODINGS},
    "load_s": _loads,
    "setup_s": _has_rows("setup"),
    "quiesce_s": _has_rows("quiesce"),
    "resume_s": _has_rows("resume"),
    "release_s": _has_rows("release"),
    "postcopy_bytes_per_s": _free_pass("push"),
    "postcopy_zero_page_cpu_s": _zero_share("push"),
    "fault_service_s": _has_rows("service"),
    "register_per_page_s": _has_rows("registration"),
    "write_fault_s": _faults,
}
