"""A real migration of the harness, started from the page and drawn against its forecast as it happens."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import ipywidgets as ipw

from migkit import viz
from migkit.errors import MigkitError, RunError, UsageError
from migkit.harness.runs.options import Options, as_performed
from migkit.harness.runs.run import run
from migkit.models import story
from migkit.models.goodput import goodput
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.scenario import Host, Scenario
from migkit.traces import Trace
from migkit.units import format_duration, format_size
from migkit.viz import Figure
from migkit.widgets import controls
from migkit.widgets.dropped import listing
from migkit.widgets.live import LiveFigure
from migkit.widgets.python import call, literal
from migkit.widgets.running.slow_panel import SlowPanel

__all__ = ["CaptureExplorer", "beside"]

_SIZES: Final = tuple(f"{n} MiB" for n in (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024))
_CAPS: Final = tuple(f"{n} Mbit/s" for n in (100, 150, 200, 300, 400, 600, 800)) + tuple(
    f"{n} Gbit/s" for n in (1, 1.5, 2, 3, 5, 10)
)
_TIME_LIMIT: Final = "60 s"
_BETWEEN_PICTURES_NS: Final = 150_000_000
_PLAIN: Final = Options(plaintext=True)
_SETTING_UP: Final = (
    "Setting up: a guest, a source and a destination start as processes of their own. The first time on a machine, "
    "their code is compiled, which takes up to a minute."
)

_STOPPED: Final = "Stopped. The processes of the run have ended; nothing is recorded."


class _StoppedError(RunError):
    """Somebody stopped the run."""


class CaptureExplorer(SlowPanel):
    """Migrate a real process of this machine, and watch what remains against what was predicted.

    Nothing runs until "start" is pressed. The guest, its source and its destination are processes of this machine,
    and a loopback connection is between them; the cap is what holds it back. However a run ends, its processes end.

    Parameters
    ----------
    host
        Calibrated constants of this machine, for the forecast.

    Attributes
    ----------
    memory, working_set, write_rate, cap, downtime_limit, strategy
        The controls.
    start, stop
        The buttons.
    figure
        What remains: predicted, and measured as it comes.
    prediction
        The forecast.
    trace
        The record of the last run that ended; None: there is none.

    Examples
    --------
    >>> explorer = CaptureExplorer()
    >>> explorer.cap.value = "400 Mbit/s"
    >>> explorer.wait(), explorer.prediction.verdict, explorer.trace
    (True, 'converges', None)
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__()
        self.host = host or Host()
        self.memory = controls.slider(
            "memory", _SIZES[3:], "256 MiB", sentence="All memory of the guest, twice on this machine."
        )
        self.working_set = controls.slider(
            "working set", _SIZES, "32 MiB", sentence="The part of its memory that the guest writes to."
        )
        self.write_rate = controls.write_rate(3000)
        self.cap = controls.slider("cap", _CAPS, "400 Mbit/s", sentence="The most that the migration sends a second.")
        self.downtime_limit = controls.slider(
            "downtime limit",
            controls.DOWNTIME_LIMITS,
            "100 ms",
            sentence="How long the guest may stand still at the end.",
        )
        self.strategy = controls.strategies("precopy")
        self.start, self.stop = _button("start", "Migrate a real process."), _button("stop", "End the run now.")
        self.stop.disabled = True
        self.trace: Trace | None = None
        self._stopping = threading.Event()
        self._samples: list[Mapping[str, Any]] = []
        self._drawn_ns = 0
        self.figure = LiveFigure(self._draw(*self._forecast()), name="migkit-capture")
        self.table = ipw.HTML()
        self._summarise()
        self.start.on_click(lambda _button: self.begin())
        self.stop.on_click(lambda _button: self.end())
        self._show(ipw.HBox([self.start, self.stop]), self.status, self.figure, self.table)
        self.widget.observe(self._closed, names="comm")

    def scenario(self) -> Scenario:
        """Return what the controls say, as the harness performs it.

        Raises
        ------
        UsageError
            The working set is larger than the memory.
        """
        return as_performed(Scenario.parse(host=self.host, **self._tables()), _PLAIN)

    def begin(self) -> None:
        """Start a migration, unless one is under way; an error is written beside the buttons."""
        if self.start.disabled:
            return
        try:
            scenario = self.scenario()
        except MigkitError as error:
            self.status.value = listing.alert(str(error))
            return
        self._set_running(True)
        self._stopping.clear()
        self._samples.clear()
        self.status.value = _SETTING_UP
        self._work.ask(lambda: run(scenario, options=_PLAIN, progress=self._see))

    def end(self) -> None:
        """Have the migration under way stop; its processes end, and nothing is recorded."""
        self._stopping.set()
        if self.start.disabled:
            self.status.value = "Stopping ..."

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the run; if the kernel is interrupted meanwhile, the run is ended first."""
        try:
            return super().wait(timeout_s)
        except KeyboardInterrupt:
            self.end()
            super().wait()
            raise

    def close(self) -> None:
        """End the run, wait until its processes are gone, and close the widgets."""
        self.end()
        self.wait()
        self.widget.close()

    def code(self) -> str:
        """Return Python that makes such a run, and draws it against its forecast."""
        tables = {name: literal(table) for name, table in self._tables().items()}
        return "\n".join(
            [
                "from migkit import Host, Scenario, capture, predict, viz",
                "from migkit.harness.runs.options import Options",
                "",
                f"scenario = {call('Scenario.parse', {**tables, 'host': literal(self.host)})}",
                "trace = capture(scenario, options=Options(plaintext=True))",
                "viz.remaining(trace, predict(trace.scenario))",
            ]
        )

    def _tables(self) -> dict[str, dict[str, Any]]:
        dirty = {"region": self.working_set.value, "writes_per_s": self.write_rate.value}
        return {
            "guest": {"memory": self.memory.value, "dirty": [dirty]},
            "policy": {
                "max_bandwidth": self.cap.value,
                "max_postcopy_bandwidth": self.cap.value,
                "downtime_limit": self.downtime_limit.value,
                "time_limit": _TIME_LIMIT,
            },
            "strategy": {"name": self.strategy.value},
        }

    def _controls(self) -> Sequence[ipw.Widget]:
        return [self.memory, self.cap, self.working_set, self.downtime_limit, self.write_rate, self.strategy]

    def refresh(self) -> None:
        """Predict what the controls say; what was measured of another scenario goes."""
        if self.start.disabled:
            raise UsageError("a run is under way; stop it, or let it end")
        drawn = self._forecast()
        self._samples.clear()
        self.trace = None
        self.figure.follow(self._draw(*drawn))
        self._summarise()

    def _forecast(self) -> tuple[Prediction, float]:
        """Return the forecast, and at how much left the rule switches over [B]."""
        scenario = self.scenario()
        self.prediction = predict(scenario, level=None)
        speed = min(goodput(scenario), scenario.policy.max_bandwidth_bytes_per_s)
        waits = scenario.strategy.name in ("precopy", "hybrid")  # until little is left
        self._allowed_bytes = speed * scenario.policy.downtime_limit_s if waits else math.nan
        return self.prediction, self._allowed_bytes

    def _see(self, sample: Mapping[str, Any]) -> None:
        """Take one sample of the run, in the thread that it runs in."""
        if self._stopping.is_set():
            raise _StoppedError("stopped")
        self._samples.append(dict(sample))
        self.status.value = (
            f"{sample['phase']}, round {sample['iteration']}, {format_size(sample['remaining_bytes'])} left"
        )
        if sample["monotonic_ns"] - self._drawn_ns > _BETWEEN_PICTURES_NS:
            self._drawn_ns = sample["monotonic_ns"]
            self.figure.follow(self._draw(self.prediction, self._allowed_bytes))

    def _take(self, result: Trace) -> None:
        self.trace = result
        self._set_running(False)
        self.figure.follow(self._draw(self.prediction, self._allowed_bytes))
        self._summarise()

    def _fail(self, error: Exception) -> None:
        self._set_running(False)
        stopped = self._stopping.is_set() and isinstance(error, MigkitError)
        self.status.value = _STOPPED if stopped else listing.alert(str(error) or repr(error))

    def _closed(self, change: Any) -> None:
        if change.new is None:
            self.end()

    def _set_running(self, running: bool) -> None:
        """Let the buttons and the controls say what can be done now."""
        self.start.disabled, self.stop.disabled = running, not running
        for control in self._controls():
            control.disabled = running

    def _draw(self, prediction: Prediction, allowed_bytes: float) -> Figure:
        samples = list(self._samples)
        return viz.forecast(
            [(one["monotonic_ns"] - samples[0]["monotonic_ns"]) / 1e9 for one in samples],
            [one["remaining_bytes"] for one in samples],
            prediction.timeline,
            allowed_bytes=allowed_bytes,
            measured="measured",
            logarithmic=False,
        )

    def _summarise(self) -> None:
        """Write what is predicted, and beside it what was measured."""
        self.table.value = beside(self.prediction, self.trace)


def beside(told: Prediction, trace: Trace | None) -> str:
    """Return a prediction as a table, and beside it what was measured, where there is something.

    Examples
    --------
    >>> from migkit import Guest
    >>> "predicted" in beside(predict(Guest(memory_bytes=2**28)), None)
    True
    """
    columns = [_numbers(told), *([_numbers(trace.outcome)] if trace is not None else [])]
    lines = [[name, *(column[name] for column in columns)] for name in columns[0]]
    if trace is not None:
        lines.append(["memory at the destination", "", "proven equal" if trace.outcome.verified else "not proven"])
    return listing.rows(["", "predicted", *(["measured"] if trace is not None else [])], lines)


def _numbers(told: Any) -> dict[str, str]:
    ends = math.isfinite(told.total_time_s)
    return {
        "verdict": story.in_words(told.verdict),
        "total migration time": format_duration(told.total_time_s) if ends else "without end",
        "downtime": format_duration(told.downtime_s) if ends else "none",
        "transferred": format_size(told.transferred_bytes) if ends else "without end",
        "rounds": str(told.iterations),
    }


def _button(text: str, sentence: str) -> ipw.Button:
    return ipw.Button(description=text, tooltip=sentence)
