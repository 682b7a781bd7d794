"""A figure that follows its widgets, fills the width that it has, and wears the colours of the page's theme."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import anywidget
import ipywidgets as ipw
import plotly
import traitlets

from migkit.viz import CONFIG, Figure
from migkit.viz.style import INK

__all__ = ["LiveFigure"]

_HERE: Final = Path(__file__).parent
_PLOTLY: Final = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


class _Script(ipw.Widget):  # type: ignore[misc]
    """plotly's script, which a page gets once for all of its figures."""

    _model_name = traitlets.Unicode("WidgetModel").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)


_shared: list[_Script] = []


def _shared_script() -> _Script:
    """Return the script as the kernel's one widget of it, made anew when all widgets were closed."""
    if not _shared or _shared[0].comm is None:
        _shared[:] = [_Script(text=_PLOTLY.read_text(encoding="utf-8"))]
    return _shared[0]


class LiveFigure(anywidget.AnyWidget):
    """A figure widget whose state is always what it shows, so that a reloaded page shows it, too.

    Beside it the page offers to save it as SVG and PNG, on white whatever the theme.

    Parameters
    ----------
    figure
        What to show at first.
    name
        Name of the saved files, without their ending.

    Attributes
    ----------
    figure
        What is shown.

    Examples
    --------
    >>> from migkit import Guest, predict, viz
    >>> live = LiveFigure(viz.prediction(predict(guest=Guest(memory_bytes=2**28))))
    >>> live.follow(viz.prediction(predict(guest=Guest(memory_bytes=2**29))))
    >>> live.get_state()["_figure"]["data"][0]["y"][0] == live.data[0].y[0]
    True
    """

    _esm = (_HERE / "live.js").read_text(encoding="utf-8")
    _css = (_HERE / "live.css").read_text(encoding="utf-8")
    _script = traitlets.Unicode().tag(sync=True)
    _figure = traitlets.Dict().tag(sync=True)
    _config = traitlets.Dict(dict(CONFIG)).tag(sync=True)
    _ink = traitlets.Unicode(INK).tag(sync=True)
    _name = traitlets.Unicode("migkit").tag(sync=True)

    figure: Figure

    def __init__(self, figure: Figure, name: str = "migkit") -> None:
        self.figure = figure
        script = f"IPY_MODEL_{_shared_script().model_id}"
        super().__init__(_script=script, _figure=_plain(figure), _name=name)

    @property
    def data(self) -> Any:
        """The traces that are shown."""
        return self.figure.data

    @property
    def layout(self) -> Any:
        """The layout that is shown; the page adds the width."""
        return self.figure.layout

    def follow(self, figure: Figure) -> None:
        """Show ``figure`` instead."""
        self.figure = figure
        self._figure = _plain(figure)


def _plain(figure: Figure) -> dict[str, Any]:
    """Return a figure as plain values for a page."""
    plain: dict[str, Any] = json.loads(figure.to_json())
    return plain
