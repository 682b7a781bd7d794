"""Pictures of the lessons: what a call of migkit computes, drawn by :mod:`migkit.viz`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.calibrate import baselines
from migkit.models.dirty import unique_dirty_pages
from migkit.units import MIB, PAGE_BYTES, format_duration

if TYPE_CHECKING:
    from migkit.models.result import Prediction
    from migkit.scenario import Guest, Scenario
    from migkit.viz import Figure

__all__ = ["dirty_curves", "downtime_parts", "errors_by_run", "risk_of_many", "totals"]

_POINTS: Final = 200


def dirty_curves(guests: Mapping[str, Guest], *, longest_s: float = 30.0, straight: Guest | None = None) -> Figure:
    """Return the dirty curve U(t) of each guest.

    Parameters
    ----------
    guests
        By name.
    longest_s
        Longest window [s].
    straight
        A guest of which every write is drawn as a new page as well, until its memory is full.

    Examples
    --------
    >>> from migkit.course import lesson
    >>> figure = dirty_curves({"shop": lesson(1).case["shop"]})
    >>> figure.layout.yaxis.title.text
    'distinct pages written [MiB]'
    """
    from migkit import viz

    windows_s = np.linspace(0.0, longest_s, _POINTS + 1)
    named: dict[str, Any] = {
        name: [unique_dirty_pages(guest, float(t_s)) * PAGE_BYTES / MIB for t_s in windows_s]
        for name, guest in guests.items()
    }
    reference = {}
    if straight is not None:
        written, most = straight.writes_per_s * windows_s * PAGE_BYTES, straight.memory_bytes
        reference["every write a new page"] = [size / MIB if size < most else None for size in written.tolist()]
    return viz.curves(
        windows_s.tolist(),
        named,
        reference=reference,
        x_title="length of the window [s]",
        y_title="distinct pages written [MiB]",
    )


def totals(scenario: Scenario, predicted: Prediction) -> Figure:
    """Return the total time that each simple model says, above that of the engine.

    Examples
    --------
    >>> from migkit import predict
    >>> from migkit.course import lesson
    >>> case = lesson(2).case["shop"]
    >>> totals(case, predict(case, level=None)).data[0].y[0]
    'one pass, no dirtying'
    """
    from migkit import viz

    words = {
        "bulk": "one pass, no dirtying",
        "geometric": "geometric series",
        "working_set": "series up to the region",
        "piecewise": "rounds on three windows",
    }
    values = {said: baselines.BASELINES[name](scenario).total_time_s for name, said in words.items()}
    values["the engine"] = predicted.total_time_s
    ending = {name: value for name, value in values.items() if math.isfinite(value)}
    return viz.bars_by_name(ending, "{:.1f} s".format, x_title="total time [s]")


def downtime_parts(predicted: Prediction) -> Figure:
    """Return what the downtime is the sum of, in the order in which it happens.

    Examples
    --------
    >>> from migkit import predict
    >>> from migkit.course import lesson
    >>> downtime_parts(predict(lesson(3).case["shop"], level=None)).data[0].y[-1]
    'resume'
    """
    from migkit import viz

    values = {name: part_s * 1000.0 for name, part_s in predicted.downtime_parts}
    return viz.bars_by_name(values, lambda ms: format_duration(ms / 1000.0), x_title="part of the downtime [ms]")


def risk_of_many(risk: float, *, most: int = 5000) -> Figure:
    """Return the probability that at least one guest is lost, over the number of migrations.

    Parameters
    ----------
    risk
        Of one migration.
    most
        Largest number of migrations.

    Examples
    --------
    >>> round(risk_of_many(7.2e-5).data[0].y[-1], 1)
    30.2
    """
    from migkit import viz

    many = np.linspace(0.0, most, _POINTS + 1)
    lost = 100.0 * -np.expm1(many * math.log1p(-risk))
    return viz.curves(
        many.tolist(),
        {"at least one guest is lost": lost.tolist()},
        reference={"sum of the risks": (100.0 * many * risk).tolist()},
        x_title="migrations by post-copy",
        y_title="probability [%]",
    )


def errors_by_run(errors: Mapping[str, float]) -> Figure:
    """Return the error of each run as a bar, in percent.

    Parameters
    ----------
    errors
        Shares by the name of the run.

    Examples
    --------
    >>> errors_by_run({"fast": -0.021}).data[0].text
    ('-2.1 %',)
    """
    from migkit import viz

    values = {name: 100.0 * error for name, error in errors.items()}
    return viz.bars_by_name(values, "{:+.1f} %".format, x_title="predicted less measured total time [%]")
