"""Results in words, as HTML for a page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from migkit import units
from migkit.models import story
from migkit.models.advice import limits
from migkit.models.goodput import packed
from migkit.models.result import Prediction
from migkit.scenario import Scenario
from migkit.viz.style import INK
from migkit.viz.style import STRATEGIES as STYLES

if TYPE_CHECKING:
    from migkit.calibrate.fit import Calibration
    from migkit.calibrate.validate import Comparison
    from migkit.planning.size import Size

__all__ = [
    "answer",
    "constants",
    "crossover",
    "errors",
    "no_downtime_limit",
    "speed_limit",
    "summary",
    "table",
    "unmoved",
]

_UNLIMITED: Final[Mapping[str, str]] = {
    "stopcopy": "Does not act: stop-copy stops the guest first.",
    "postcopy": "Does not act: post-copy switches over at once.",
}
_MEANS: Final[Mapping[str, str]] = {
    "verdict": "Whether it ends by the rule, goes on for ever, is given up or runs out of time.",
    "total time": "From the request until the source is released.",
    "downtime": "From the stop of the guest at the source until it runs at the destination.",
    "sent": "Everything that goes over the link.",
    "rounds": "Passes over the pages that a bitmap sync found written, the final one among them.",
    "guest slowdown": "The part of its work that the guest loses while it is moved, apart from the downtime.",
    "demand faults": "Pages that the guest waits for after a switch to post-copy; pre-copy has none.",
    "risk": "Probability that the guest is lost because a host fails while it needs both; pre-copy has none.",
}
_NOTHING: Final = 1e-3  # of the standard error
_CELL: Final = 'style="text-align:right;padding:2px 10px"'
_OF_POSTCOPY: Final = ("demand faults", "risk")


def summary(result: Prediction) -> str:
    """Return one result: its verdict, its numbers and why.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> "<b>converges</b>" in summary(predict(guest=Guest(memory_bytes=2**28)))
    True
    """
    verdict, why = story.in_words(result.verdict), html.escape(" ".join(result.reasons))
    return f"<b>{verdict}</b> &ensp; {_line(result)}<br>{why}"


def table(results: Mapping[str, Prediction]) -> str:
    """Return several results as a table, a row each; a strategy's name is written in its colour.

    Demand faults and risk are left out where none of them goes through post-copy.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> table({"precopy": predict(guest=Guest(memory_bytes=2**28))}).count("<tr>")
    2
    """
    faulting = any(result.postcopy_faults > 0.0 or result.risk > 0.0 for result in results.values())
    names = [name for name in _numbers(next(iter(results.values()))) if faulting or name not in _OF_POSTCOPY]
    head = "".join(f"<th {_CELL}>{_explained(name)}</th>" for name in ("", "verdict", *names))
    rows = "".join(_row(name, result, names) for name, result in results.items())
    return f'<div class="migkit-scroll"><table><tr>{head}</tr>{rows}</table></div>'


def speed_limit(scenario: Scenario, result: Prediction) -> str:
    """Return what limits the speed where the link does not, in a sentence; else nothing.

    Examples
    --------
    >>> from migkit import Guest, Host, Link, Policy, predict
    >>> scenario = Scenario(guest=Guest(memory_bytes=2**30), host=Host(goodput_bytes_per_s=2.4e8),
    ...                     link=Link(bandwidth_bytes_per_s=1.25e9), policy=Policy.parse(max_bandwidth="unlimited"))
    >>> speed_limit(scenario, predict(scenario, level=None))
    'Does not act: one stream of the sending host, 1.92 Gbit/s, limits the speed.'
    """
    if result.limited_by in ("link", "guest"):
        return ""
    speed = limits.bounds(scenario, packed(scenario)[0])[result.limited_by]
    return f"Does not act: {limits.words(scenario, result.limited_by, float(speed))}, limits the speed."


def answer(found: Size) -> str:
    """Return the answer of an inverse question and the prediction there.

    Examples
    --------
    >>> from migkit import Guest, Targets, size
    >>> "<b>least bandwidth:" in answer(size(Guest(memory_bytes=2**30), targets=Targets(total_time_s=9.0)))
    True
    """
    first, _, rest = found.text.partition(" (")
    return f"<b>{html.escape(first)}</b> ({html.escape(rest)}<br>{_line(found.result)}"


def errors(one: Comparison) -> str:
    """Return by how much the prediction of a run is off.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> errors(SimpleNamespace(total_time_error=0.021, bytes_error=-0.001, downtime_error_s=-0.004))
    'The prediction is off by <b>+2.1 %</b> of the total time, <b>-0.1 %</b> of the bytes, <b>-4.0 ms</b> of ...'
    """
    return (
        f"The prediction is off by <b>{100 * one.total_time_error:+.1f} %</b> of the total time, "
        f"<b>{100 * one.bytes_error:+.1f} %</b> of the bytes, "
        f"<b>{1000 * one.downtime_error_s:+.1f} ms</b> of downtime."
    )


def constants(calibration: Calibration) -> str:
    """Return the fitted constants as a table, a row each; beside it what the runs cannot tell.

    Examples
    --------
    >>> from migkit import Host
    >>> from migkit.calibrate.fit import Calibration
    >>> known = dict(standard_errors={"load_s": 0.002}, identified_by={"load_s": "6 rows"}, covariance=((4e-6,),))
    >>> known |= dict(host=Host(load_s=0.02), constants=("load_s",), refused={}, residuals={}, runs=6, kind="harness")
    >>> constants(Calibration(**known)).count("<tr>")
    2
    """
    head = "".join(f"<th {_CELL}>{name}</th>" for name in ("constant", "value", "standard error", "told by"))
    rows = "".join(
        f"<tr><td {_CELL}>{name}</td><td {_CELL}>{_fitted(calibration, name)}</td>"
        f"<td {_CELL}>{calibration.standard_errors[name]:.2g}</td>"
        f"<td {_CELL}>{html.escape(calibration.identified_by[name])}</td></tr>"
        for name in calibration.constants
    )
    refused = "".join(f"<li>{name}: {html.escape(why)}</li>" for name, why in calibration.refused.items())
    unknown = f"<p>These runs cannot tell:</p><ul>{refused}</ul>" if refused else ""
    return f'<div class="migkit-scroll"><table><tr>{head}</tr>{rows}</table></div>{unknown}'


def _fitted(calibration: Calibration, name: str) -> str:
    """Return the value of a constant; 0 where it is nothing beside its standard error."""
    value = float(getattr(calibration.host, name))
    return "0" if abs(value) < _NOTHING * calibration.standard_errors[name] else f"{value:.3g}"


def no_downtime_limit(strategy: str) -> str:
    """Return why a strategy has no use for a downtime limit, in a sentence; nothing where it has.

    Examples
    --------
    >>> no_downtime_limit("stopcopy"), no_downtime_limit("precopy")
    ('Does not act: stop-copy stops the guest first.', '')
    """
    return _UNLIMITED.get(strategy, "")


def unmoved(results: Mapping[str, Prediction]) -> str:
    """Return which rows more bandwidth does not change, in a sentence; nothing where it changes all.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> unmoved({"qemu": predict(guest=Guest(memory_bytes=2**28))})
    'Does not act on qemu: a cap or the hosts limit the speed.'
    """
    names = [name for name, result in results.items() if result.limited_by not in ("link", "guest")]
    return f"Does not act on {', '.join(names)}: a cap or the hosts limit the speed." if names else ""


def crossover(as_quick_up_to: float, converges_up_to: float) -> str:
    """Return where pre-copy is overtaken by post-copy and where it ends, in sentences over write rates [1/s].

    Examples
    --------
    >>> crossover(8000.0, math.inf)[:82]
    'Pre-copy takes a quarter longer than post-copy beyond 8 000 page writes a second. '
    """
    lasts = {
        0.0: "Pre-copy takes a quarter longer than post-copy, or more, at every write rate shown.",
        math.inf: "Pre-copy is about as quick as post-copy at every write rate shown.",
    }.get(as_quick_up_to, f"Pre-copy takes a quarter longer than post-copy beyond {_rate(as_quick_up_to)}.")
    converges = {
        0.0: "Pre-copy converges at none of them.",
        math.inf: "Pre-copy converges at every rate shown.",
    }.get(converges_up_to, f"Pre-copy converges up to {_rate(converges_up_to)}.")
    return f"{lasts} {converges}"


def _rate(writes_per_s: float) -> str:
    return f"{writes_per_s:,.3g} page writes a second" if writes_per_s < 1000 else _thousands(writes_per_s)


def _thousands(writes_per_s: float) -> str:
    digits = float(f"{writes_per_s:.2g}")
    return f"{digits:,.0f} page writes a second".replace(",", " ")


def _on_page(colour: str) -> str:
    """Return a figure's colour for text of a page."""
    return "inherit" if colour == INK else colour


def _row(name: str, result: Prediction, names: Sequence[str]) -> str:
    style = STYLES.get(name)
    label, colour = (style.label, _on_page(style.colour)) if style else (name, "inherit")
    numbers = _numbers(result)
    values = (story.in_words(result.verdict), *(numbers[name] for name in names))
    cells = "".join(f"<td {_CELL}>{value}</td>" for value in values)
    return f'<tr><th {_CELL}><span style="color:{colour}">{html.escape(label)}</span></th>{cells}</tr>'


def _line(result: Prediction) -> str:
    return " &ensp; ".join(f"{_explained(name)} <b>{value}</b>" for name, value in _numbers(result).items())


def _explained(name: str) -> str:
    """Return what a number is called, with a sentence on it as its tooltip."""
    return f'<span title="{_MEANS[name]}">{name}</span>' if name in _MEANS else name


def _numbers(result: Prediction) -> dict[str, str]:
    ends = math.isfinite(result.total_time_s)
    return {
        "total time": units.format_duration(result.total_time_s) if ends else "no end",
        "downtime": units.format_duration(result.downtime_s) if ends else "none",
        "sent": units.format_size(result.transferred_bytes) if ends else "no end",
        "rounds": str(result.iterations),
        "guest slowdown": f"{100 * result.guest_slowdown:.1f} %",
        "demand faults": f"{result.postcopy_faults:,.0f}".replace(",", " "),
        "risk": f"{result.risk:.2g}",
    }
