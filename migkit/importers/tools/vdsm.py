"""Logs of oVirt's vdsm."""

from __future__ import annotations

import re
from typing import Any

from migkit.importers.context import Context
from migkit.importers.names import TABLES
from migkit.importers.reading.numbers import quantity
from migkit.importers.tools.managers import BYTES, Lines
from migkit.units import PAGE_BYTES

__all__ = ["Vdsm"]


class Vdsm(Lines):
    """Progress lines of oVirt's vdsm; its MB are 2^20 bytes, and so are what it calls Mbps."""

    family = "vdsm"
    hints = ("igrat", "CPU stopped")
    programs = ("vdsm", "[virt.vm]", "migsrc/", "(libvirt/events)")
    alike = tuple(
        (re.compile(pattern), method)
        for pattern, method in (
            (r"\bstarting migration to \S+", "_request"),
            (r"migration took (\d{1,9}) seconds to complete", "_took"),
            (r"Migration succeeded", "_completed"),
            (r"(Failed to migrate.*|migration .*failed.*)", "_failed"),
            (r"(Migration stall(?:ing|ed).*|Migration is stuck.*|CPU stopped: .*|Aborting migration.*)", "_told"),
        )
    )
    patterns = (
        (
            re.compile(
                r"Migration Progress: (?P<elapsed>\d{1,9}) seconds elapsed, (?P<share>\d{1,3})% of data processed"
                r"(?:, total data: (?P<total>\d{1,15}MB))?(?:, processed data: (?P<processed>\d{1,15}MB))?"
                r"(?:, remaining data: (?P<remaining>\d{1,15}MB))?(?:, transfer speed (?P<speed>\d{1,12}M[Bb]ps))?"
                r"(?:, zero pages: (?P<zero>\d{1,15}MB))?(?:, compressed: (?P<compressed>\d{1,15}MB))?"
                r"(?:, dirty rate: (?P<dirty>-?\d{1,15}))?(?:, memory iteration: (?P<iteration>-?\d{1,9}))?"
            ),
            "_progress",
        ),
    )

    def _took(self, match: re.Match[str], context: Context) -> None:
        self._sample(context, "completed", {"t_s": float(match[1])})

    def _progress(self, match: re.Match[str], context: Context) -> None:
        values: dict[str, Any] = {"t_s": float(match["elapsed"]), "done": min(100, int(match["share"])) / 100}
        resolution: dict[str, float] = {}
        for theirs, name in TABLES[self.family].items():
            found = quantity(match[theirs], self.family, name) if match[theirs] else None
            if found is not None:
                values[name.ours] = found.value
                resolution |= {name.ours: found.resolution} if name.ours.endswith("_bytes") else {}
        zeros = quantity(match["zero"], self.family, BYTES) if match["zero"] else None
        if zeros is not None:
            values["zero_pages"] = zeros.value // PAGE_BYTES
        self._sample(context, "running", values, resolution)
