"""Page classes to the dirty curve, and what one reading of a dirty rate cannot tell."""

from __future__ import annotations

import html
import math
from typing import Any, Final

import ipywidgets as ipw

from migkit import units, viz
from migkit.calibrate.guest.readings import Reading, family
from migkit.models import story
from migkit.models.dirty import dirty_curve, dirty_rate, natural_downtime_s, settling_bytes, unique_dirty_pages
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.scenario import Guest, Scenario
from migkit.widgets import controls
from migkit.widgets.live import LiveFigure
from migkit.widgets.panel import Panel
from migkit.widgets.python import call, literal

__all__ = ["DirtyCurveExplorer"]

_WINDOWS: Final = ("10 ms", "30 ms", "100 ms", "300 ms", "1 s", "3 s", "10 s", "30 s", "60 s")
_BESIDE: Final = ("100 ms", "1 s", "10 s")
_KINDS: Final = [("at random", "random"), ("in address order", "sweep")]
_CLASSES: Final = (("64 MiB", 50_000.0, "random"), ("1 GiB", 5_000.0, "random"), ("512 MiB", 0.0, "sweep"))
_CELL: Final = 'style="text-align:right;padding:1px 10px;line-height:1.4"'
_CODE: Final = """\
from migkit import Guest, viz
from migkit.models.dirty import dirty_curve, unique_dirty_pages

guest = {guest}
reading = ({window_s}, unique_dirty_pages(guest, {window_s}) * 4096)
figure = viz.dirty_curves({{"this guest": dirty_curve(guest)}}, reading=reading, link_bytes_per_s={link})
figure
"""


class DirtyCurveExplorer(Panel):
    """Three page classes and the curve ``U(t)`` that they make; one reading of it, and all guests that have it.

    Attributes
    ----------
    memory, window, bandwidth
        Memory of the guest; length of the window of the reading; what the link sends.
    classes
        For each class the controls of its region, its writes and their order.
    figure
        The curve, and the dirty rate that is read, over the window.
    family
        The curves of other guests with the same reading.
    table
        What each of these guests would come to.
    guest, reading, members
        What the controls say; the reading; the guests by name.

    Examples
    --------
    >>> explorer = DirtyCurveExplorer()
    >>> explorer.window.value = "100 ms"
    >>> round(explorer.reading.pages), len(explorer.members) > 3
    (4809, True)
    """

    def __init__(self) -> None:
        super().__init__()
        self.memory = controls.slider("memory", controls.MEMORIES, "8 GiB", sentence="All memory of the guest.")
        self.window = controls.slider(
            "window", _WINDOWS, "1 s", sentence="For how long the reading watches which pages are written."
        )
        self.bandwidth = controls.slider(
            "bandwidth", controls.BANDWIDTHS, "1 Gbit/s", sentence="What the link between the hosts sends."
        )
        self.classes = [_class(number, *values) for number, values in enumerate(_CLASSES, 1)]
        self._read()
        self.figure = LiveFigure(self._draw(), "migkit-dirty-curve")
        self.family = LiveFigure(self._draw_family(), "migkit-one-reading")
        self.table = ipw.HTML()
        self._tell()
        about = ipw.HTML("<b>Other guests with the same reading.</b> All their curves go through the one point.")
        self._show(self.figure, about, self.family, self.table)

    def refresh(self) -> None:
        """Work out the curves of what the controls say and show them."""
        self._read()
        self.figure.follow(self._draw())
        self._at_rest(lambda: self.family.follow(self._draw_family()))
        self._tell()

    def code(self) -> str:
        """Return Python that makes the guest, its reading and its curve anew."""
        guest = call("Guest.parse", {name: literal(value) for name, value in self.tables().items()})
        window_s = literal(units.duration(self.window.value, "window"))
        return _CODE.format(guest=guest, window_s=window_s, link=literal(self._link_bytes_per_s()))

    def tables(self) -> dict[str, Any]:
        """Return what the controls say of the guest, as the table of a scenario file."""
        dirty = [
            {"region": region.value, "writes_per_s": writes.value, "kind": kind.value}
            for region, writes, kind in self.classes
            if writes.value > 0.0
        ]
        return {"memory": self.memory.value, "dirty": dirty}

    def _controls(self) -> list[Any]:
        return [self.memory, self.window, self.bandwidth, *(control for one in self.classes for control in one)]

    def _link_bytes_per_s(self) -> float:
        return units.rate(self.bandwidth.value, "bandwidth")

    def _read(self) -> None:
        """Read the guest once, find the guests with that reading, and predict each."""
        guest = Guest.parse(**self.tables())
        window_s = units.duration(self.window.value, "window")
        reading = Reading(window_s, unique_dirty_pages(guest, window_s))
        members = {one.name: one.guest for one in family(reading, guest.memory_bytes)}
        self.results = {name: self._predict(one) for name, one in {"this guest": guest, **members}.items()}
        self.guest, self.reading, self.members = guest, reading, members

    def _predict(self, guest: Guest) -> Prediction:
        link, policy = {"bandwidth": self.bandwidth.value}, {"max_bandwidth": "unlimited"}
        return predict(Scenario.parse(guest=guest, link=link, policy=policy), level=None, detail=False)

    def _point(self) -> tuple[float, float]:
        return self.reading.window_s, self.reading.pages * units.PAGE_BYTES

    def _draw(self) -> viz.Figure:
        parts = {_name(one): Guest(memory_bytes=self.guest.memory_bytes, dirty=(one,)) for one in self.guest.dirty}
        return self._curves(parts)

    def _draw_family(self) -> viz.Figure:
        return self._curves(self.members)

    def _curves(self, others: dict[str, Guest]) -> viz.Figure:
        curves = {name: dirty_curve(guest) for name, guest in {"this guest": self.guest, **others}.items()}
        return viz.dirty_curves(curves, reading=self._point(), link_bytes_per_s=self._link_bytes_per_s())

    def _tell(self) -> None:
        self.headline.value = "<br>".join(map(html.escape, (self._readings(), self._settling())))
        self.table.value = _table({"this guest": self.guest, **self.members}, self.results)

    def _readings(self) -> str:
        read = dirty_rate(self.guest, self.reading.window_s)
        beside = [f"{_rate(self.guest, text)} in {text}" for text in _BESIDE if text != self.window.value]
        return (
            f"One reading over {self.window.value} says {units.format_size(read)}/s = {units.format_rate(read)}. "
            f"The same guest in other windows: {', '.join(beside)}."
        )

    def _settling(self) -> str:
        left = settling_bytes(self.guest, self._link_bytes_per_s())
        if left == 0.0:
            return "The link sends faster than this guest dirties in any window: pre-copy converges."
        natural = units.format_duration(natural_downtime_s(self.guest, self._link_bytes_per_s()))
        return (
            f"The dirty rate falls to what the link sends at a window of {natural}: that is this guest's natural "
            f"downtime on this link, with {units.format_size(left)} left."
        )


def _class(number: int, region: str, writes_per_s: float, kind: str) -> tuple[Any, Any, Any]:
    """Return the controls of one page class."""
    where = controls.slider(
        f"set {number}", controls.WORKING_SETS, region, sentence=f"Size of the set of pages number {number}."
    )
    writes = controls.write_rate(
        writes_per_s, sentence="Writes a second to pages of this set; 0: there is no such set."
    )
    writes.description = f"writes {number}"
    order = controls.choice(f"order {number}", _KINDS, kind, sentence="Which page of this set a write goes to.")
    return where, writes, order


def _name(one: Any) -> str:
    return f"{units.format_size(one.region_bytes)} {'in order' if one.kind == 'sweep' else 'at random'}"


def _rate(guest: Guest, window: str) -> str:
    """Return the dirty rate that a reading says, in MiB a second."""
    return f"{units.format_size(dirty_rate(guest, units.duration(window, 'window')))}/s"


def _table(guests: dict[str, Guest], results: dict[str, Prediction]) -> str:
    """Return what guests with one reading would come to, a row each."""
    columns = ("guest", *(f"read in {text}" for text in _BESIDE), "verdict", "total time", "downtime")
    head = "".join(f"<th {_CELL}>{name}</th>" for name in columns)
    rows = "".join(_row(name, guest, results[name]) for name, guest in guests.items())
    return f'<div class="migkit-scroll"><table><tr>{head}</tr>{rows}</table></div>'


def _row(name: str, guest: Guest, result: Prediction) -> str:
    ends = math.isfinite(result.total_time_s)
    total = units.format_duration(result.total_time_s) if ends else "no end"
    downtime = units.format_duration(result.downtime_s) if ends else "none"
    values = (*(_rate(guest, text) for text in _BESIDE), story.in_words(result.verdict), total, downtime)
    cells = "".join(f"<td {_CELL}>{value}</td>" for value in values)
    return f"<tr><th {_CELL}>{html.escape(name)}</th>{cells}</tr>"
