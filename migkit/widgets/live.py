"""A figure that follows its widgets, and still does after the page was reloaded."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import plotly
import plotly.graph_objects as go
import traitlets

from migkit.viz import CONFIG, Figure

__all__ = ["LiveFigure"]


def _same(one: Any, other: Any) -> bool:
    """Return whether two values of a property are the same, be they lists or tuples."""
    lists = isinstance(one, list | tuple) and isinstance(other, list | tuple)
    return list(one) == list(other) if lists else type(one) is type(other) and bool(one == other)


_WIDTH_PX: Final = 960  # a page measures a figure before it has a width of its own, and again when it is reloaded


_PLOTLY: Final = (Path(plotly.__file__).parent / "package_data" / "widgetbundle.js").read_text(encoding="utf-8")

# A page gives up a widget that has not begun after two seconds, and plotly's script may take longer to load.
# So each figure begins at once, and they all wait for one copy of that script.
_BEGIN: Final = """
function load(text) {
  globalThis.migkitPlotly ??= import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  return globalThis.migkitPlotly;
}

export default () => {
  let figure;
  return {
    initialize(context) {
      figure = load(context.model.get("_plotly")).then((script) => {
        const widget = script.default();
        widget.initialize(context);
        return widget;
      });
    },
    async render(context) {
      return (await figure).render(context);
    },
  };
};
"""


class LiveFigure(go.FigureWidget):  # type: ignore[misc]
    """A figure widget whose state is always what it shows.

    plotly refreshes the state that a page asks for only when the figure is displayed, so a reloaded page
    would show the figure as it was first drawn. And it announces a figure to the page before it has any
    data; what it sends next is lost while the page still loads plotly's script, and the figure stays empty.
    Here a figure is announced when it is complete, and however long that script takes, the page shows it.

    Examples
    --------
    >>> from migkit import Guest, predict, viz
    >>> live = LiveFigure(viz.prediction(predict(guest=Guest(memory_bytes=2**28))))
    >>> live.follow(viz.prediction(predict(guest=Guest(memory_bytes=2**29))))
    >>> live.get_state()["_widget_data"][0]["y"][0] == live.data[0].y[0]
    True
    """

    _esm = _BEGIN
    _plotly = traitlets.Unicode(_PLOTLY).tag(sync=True)
    _drawn = False  # plotly asks for the state of a figure that it has not yet made

    def __init__(self, figure: Figure) -> None:
        super().__init__(figure)
        self._config = dict(CONFIG)
        self.layout.width = _WIDTH_PX
        self._drawn = True
        self.open()

    def open(self) -> None:
        """Announce the figure to the page, once it is complete."""
        if self._drawn:
            super().open()

    def follow(self, figure: Figure) -> None:
        """Show ``figure``, which has the same kinds of traces, by updating those already drawn."""
        with self.batch_update():
            for shown, new in zip(self.data, figure.data, strict=True):
                changed = {k: v for k, v in new.to_plotly_json().items() if not _same(shown._props.get(k), v)}
                if changed:  # plotly checks each value anew, which takes most of the time of a move
                    shown.update(changed, overwrite=False)
            for name, value in figure.layout.to_plotly_json().items():
                if self._layout_obj._props.get(name) != value:
                    self.layout[name] = value

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the state of the figure as it is now."""
        if self._drawn:
            # Straight into the values: an assignment would send the figure to the page once more.
            self._trait_values["_widget_data"] = deepcopy(self._data)
            self._trait_values["_widget_layout"] = deepcopy(self._layout_obj._props)
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        return state
