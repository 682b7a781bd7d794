"""A real virtual machine under QEMU, migrated and watched from the page."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import ipywidgets as ipw

from migkit.calibrate.forecast.looks import watched
from migkit.harness.probe import probe
from migkit.models.predict import predict
from migkit.policies.systems import of_qemu
from migkit.scenario import Host, Scenario
from migkit.traces import Trace
from migkit.units import duration
from migkit.widgets import controls
from migkit.widgets.python import call, literal
from migkit.widgets.running.live_capture import beside
from migkit.widgets.running.live_watch import WatchExplorer

__all__ = ["QemuExplorer"]

_SIZES: Final = ("4 MiB", "8 MiB", "16 MiB", "32 MiB", "64 MiB")
_CAPS: Final = tuple(f"{n} Mbit/s" for n in (40, 60, 80, 120, 200, 400, 800))
_RATES: Final = tuple(f"{n} /s" for n in (0, 100, 300, 500, 1000, 3000, 10_000))


class QemuExplorer(WatchExplorer):
    """Start two QEMU processes, migrate a small guest between them, and watch that from its counters alone.

    Nothing runs until "start" is pressed. The guest has no operating system. It writes its memory as the controls
    say, and compares all of it at the destination. Where QEMU is missing, one line says so.

    Attributes
    ----------
    working_set, writes, cap, downtime_limit, every
        The controls.
    trace
        The record of the last run that ended; None: there is none.
    prediction
        What was predicted from the scenario, which the looks do not know.

    Examples
    --------
    >>> explorer = QemuExplorer()
    >>> explorer.writes.value = "10000 /s"
    >>> explorer.prediction.verdict, explorer.trace
    ('timed_out', None)
    """

    def __init__(self) -> None:
        self.working_set = controls.slider(
            "working set", _SIZES[:-2], "8 MiB", sentence="The part of its 64 MiB that the guest writes to."
        )
        self.writes = controls.slider(
            "page writes", _RATES, "500 /s", sentence="Writes a second, to pages at random."
        )
        self.cap = controls.slider("cap", _CAPS, "60 Mbit/s", sentence="QEMU's max-bandwidth.")
        self.downtime_limit = controls.slider(
            "downtime limit", controls.DOWNTIME_LIMITS, "100 ms", sentence="QEMU's downtime-limit."
        )
        self.trace: Trace | None = None
        self.table = ipw.HTML()
        super().__init__()
        self.start.description, self.start.tooltip = "start", "Start two QEMU processes and migrate a guest."
        self.stop.tooltip = "Stop looking; the run ends by itself."
        self.refresh()
        self.widget.children = (*self.widget.children[:-1], self.table, self.widget.children[-1])

    def refresh(self) -> None:
        """Predict what the controls say."""
        self.prediction = predict(self.scenario(), level=None)
        self.trace = None
        self.table.value = beside(self.prediction, None)

    def scenario(self) -> Scenario:
        """Return what the controls say."""
        return Scenario.parse(**self._tables())

    def code(self) -> str:
        """Return Python that makes such a run and looks at it."""
        tables = {name: literal(table) for name, table in self._tables().items()}
        lines = [
            "import threading",
            "",
            "from migkit import Host, Scenario, predict",
            "from migkit.calibrate.forecast.looks import watched",
            "",
            f"scenario = {call('Scenario.parse', tables)}",
            "looks = []",
            "trace = watched(scenario, looks.append, stop=threading.Event())",
            "predict(scenario), trace.outcome",
        ]
        return "\n".join(lines)

    def _tables(self) -> dict[str, Any]:
        dirty = {"region": self.working_set.value, "writes_per_s": float(self.writes.value.removesuffix(" /s"))}
        return {
            "guest": {"memory": "64 MiB", "zero": "16 MiB", "dirty": [dirty]},
            "host": Host(platform="qemu-tcg", firmware_bytes=0),
            "policy": {
                "name": _rule(),
                "max_bandwidth": self.cap.value,
                "downtime_limit": self.downtime_limit.value,
                "time_limit": "30 s",
            },
        }

    def _controls(self) -> Sequence[ipw.Widget]:
        return [self.working_set, self.cap, self.writes, self.downtime_limit]

    def _looking(self) -> Callable[[], Trace]:
        scenario, every_s = self.scenario(), duration("250 ms", "look every")
        return lambda: watched(scenario, self._see, stop=self._stopping, every_s=every_s)

    def _arrive(self, result: Trace) -> None:
        super()._arrive(result)
        self.trace = result
        self.table.value = beside(self.prediction, result)


@functools.cache
def _rule() -> str:
    """Return the named policy of the QEMU of this machine."""
    version = re.search(r"version (\d+\.\d+)", probe("qemu").reason)
    return of_qemu(version[1] if version else None)
