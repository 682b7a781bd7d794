"""The words and columns that every trace is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["KINDS", "PHASES", "ROUND_COLUMNS", "SAMPLE_COLUMNS", "SCHEMA_VERSION", "VERDICTS"]

SCHEMA_VERSION: Final = 1
VERDICTS: Final = ("converges", "does_not_converge", "aborted", "timed_out")
KINDS: Final = ("harness", "qemu", "computed")
PHASES: Final = ("setup", "precopy", "stopcopy", "postcopy", "done")

SAMPLE_COLUMNS: Final[Mapping[str, str]] = {
    "monotonic_ns": "int64",  # clock of the source host; the first row is the request
    "phase": "string",  # one of PHASES
    "iteration": "int32",  # bitmap syncs so far
    "sent_bytes": "int64",  # on the wire since the request
    "remaining_bytes": "int64",  # page bytes, as the policy saw them
    "dirtied_pages": "int64",  # marked by all syncs so far, the first one left out
    "guest_operations": "int64",  # page writes that the guest has done; -1: not known
}

ROUND_COLUMNS: Final[Mapping[str, str]] = {
    "iteration": "int32",
    "start_s": "float64",  # of the sync, since the request
    "duration_s": "float64",  # to the next sync or to the end
    "sync_s": "float64",  # cost of the sync
    "guest_running_s": "float64",  # running time of the guest within the round
    "marked_pages": "int64",  # pages that the sync marked
    "normal_pages": "int64",  # sent in full (or encoded)
    "zero_pages": "int64",  # sent as zero pages
    "sent_bytes": "int64",  # on the wire within the round; what comes before the first sync counts in the first round
    "remaining_bytes": "int64",  # page bytes to send directly after the sync
}
