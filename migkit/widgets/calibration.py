"""Constants fitted to some runs, and by how much predictions of the others are off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import ipywidgets as ipw

from migkit import viz
from migkit.calibrate import validate
from migkit.calibrate.fit import Calibration, fit
from migkit.traces import Trace, data
from migkit.widgets import controls, words
from migkit.widgets.live import LiveFigure
from migkit.widgets.panel import Panel
from migkit.widgets.python import literal

__all__ = ["CalibrationExplorer"]

_SHIPPED: Final = "runs = data.shipped_runs()"
_GIVEN: Final = "# runs: the traces, by their names, that the explorer was given"
_CODE: Final = """\
from migkit import viz
from migkit.calibrate import validate
from migkit.calibrate.fit import fit
from migkit.traces import data

{runs}
used = {used}
calibration = fit([runs[name] for name in used])
residuals = viz.residuals(validate.residuals(runs, used, calibration))
comparison = validate.compare(runs[{shown}], calibration)
figure = viz.remaining(comparison.trace, comparison.prediction)
figure
"""


class CalibrationExplorer(Panel):
    """Which runs the constants are fitted to, and how well they predict a run that was left out.

    Parameters
    ----------
    runs
        Traces by name, at least two; None: those that ship with migkit.

    Attributes
    ----------
    left_out, count
        The controls: the run that is shown, which is never used in the fit; and how many of the others are.
    figure
        What remained of the left-out run over time, measured and predicted.
    residuals
        Errors of all runs.
    calibration
        The last fit.

    Examples
    --------
    >>> explorer = CalibrationExplorer()
    >>> explorer.left_out.value = "slow"
    >>> "slow" in explorer.used
    False
    """

    def __init__(self, runs: Mapping[str, Trace] | None = None) -> None:
        super().__init__()
        self._runs_code = _GIVEN if runs else _SHIPPED
        self.runs = dict(runs or data.shipped_runs())
        names = [(name, name) for name in self.runs]
        self.left_out = controls.choice(
            "left out", names, names[0][0], sentence="The run that is predicted; the constants are fitted without it."
        )
        counts = [str(number) for number in range(1, len(self.runs))]
        self.count = controls.slider(
            "runs used", counts, counts[-1], sentence="How many of the other runs the constants are fitted to."
        )
        self._fit()
        self.figure = LiveFigure(self._draw(), "migkit-calibration")
        self.residuals = LiveFigure(self._draw_residuals(), "migkit-residuals")
        self.table = ipw.HTML(words.constants(self.calibration))
        self.headline.value = words.errors(self._comparison)
        self._show(self.figure, self.residuals, self.table)

    @property
    def used(self) -> list[str]:
        """Names of the runs that the constants are fitted to."""
        others = [name for name in self.runs if name != self.left_out.value]
        return others[: int(self.count.value)]

    def refresh(self) -> None:
        """Fit the constants to the chosen runs and show what they predict.

        Raises
        ------
        UsageError
            The runs are not alike, so that one set of constants cannot be fitted to them.
        """
        self._fit()
        self.figure.follow(self._draw())
        self._at_rest(lambda: self.residuals.follow(self._draw_residuals()))
        self.table.value = words.constants(self.calibration)
        self.headline.value = words.errors(self._comparison)

    def code(self) -> str:
        """Return Python that makes the fit and its figures anew."""
        return _CODE.format(runs=self._runs_code, used=literal(self.used), shown=literal(self.left_out.value))

    def _controls(self) -> list[ipw.Widget]:
        return [self.left_out, self.count]

    def _fit(self) -> None:
        self.calibration: Calibration = fit([self.runs[name] for name in self.used])
        self._comparison = validate.compare(self.runs[self.left_out.value], self.calibration)

    def _draw(self) -> viz.Figure:
        return viz.remaining(self._comparison.trace, self._comparison.prediction)

    def _draw_residuals(self) -> viz.Figure:
        return viz.residuals(validate.residuals(self.runs, self.used, self.calibration))
