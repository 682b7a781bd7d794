"""One guest under several policies and strategies, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import UsageError, shown
from migkit.models import story
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.models.spread.interval import LEVEL
from migkit.scenario import Guest, Host, Link, Policy, Scenario, Strategy
from migkit.scenario.ability import missing, within
from migkit.scenario.form import schema
from migkit.scenario.form.declaration import file_key
from migkit.scenario.form.given import Given, scenario_of
from migkit.scenario.policy import presets
from migkit.scenario.strategy import STRATEGIES
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Alternatives", "compare"]

_GIVEN: Final = (
    "max_bandwidth_bytes_per_s",
    "max_postcopy_bandwidth_bytes_per_s",
    "downtime_limit_s",
    "time_limit_s",
)
_HEADER: Final = ("policy", "strategy", "verdict", "total time", "downtime", "sent")


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Alternatives(Mapping[tuple[str, str], Prediction]):
    """Frozen result of :func:`compare`: a prediction for each pair of policy and strategy.

    Attributes
    ----------
    results
        Predictions by the names of policy and strategy, in the order asked for.
    """

    results: Mapping[tuple[str, str], Prediction]

    def __getitem__(self, key: tuple[str, str]) -> Prediction:
        return self.results[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a pair: policy, strategy and every result that is one number."""
        import pandas as pd

        rows = [
            {"policy": policy, "strategy": strategy} | _numbers(result)
            for (policy, strategy), result in self.results.items()
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        rows = [_HEADER, *map(_row, self.results.items())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        return story.table([_HEADER, *map(_row, self.results.items())])


def compare(
    scenario: Given | None = None,
    *,
    guest: Guest | None = None,
    link: Link | None = None,
    host: Host | None = None,
    policy: Policy | None = None,
    strategy: Strategy | None = None,
    policies: Iterable[str] | str | None = None,
    strategies: Iterable[str] | str = "all",
    level: float | None = LEVEL,
    seed: int = 0,
) -> Alternatives:
    """Predict one migration under several policies and strategies.

    Each is predicted with what its system can do: a manner of moving that it has not is left out, and so are streams,
    encryption, compression and the like that the scenario asks for; a reason of the result says which.

    Parameters
    ----------
    scenario
        A guest, a whole scenario, the path of a scenario file, or its tables as a mapping.
    guest, link, host, policy, strategy
        What goes with a guest; each but the guest has a documented default.
    policies
        Names, or ``"all"``; None: only the scenario's own. Each policy has the defaults of its system, except for
        the caps, the downtime limit and the time limit that the scenario gives: in a file or a mapping those that
        stand there, else those that differ from the defaults of the scenario's own policy.
    strategies
        Names, or ``"all"``.
    level, seed
        As in :func:`migkit.models.predict.predict`.

    Raises
    ------
    UsageError
        As in :func:`migkit.models.predict.predict`, a name is not known, or no system of those named moves a guest in
        one of the manners named.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**28, writes_per_s=60_000),))
    >>> found = compare(guest, policies=["qemu", "xen"], strategies=["precopy", "postcopy"])
    >>> [key for key, result in found.items() if result.verdict == "does_not_converge"]
    [('qemu', 'precopy')]
    """
    case = scenario_of(scenario, "compare", guest=guest, link=link, host=host, policy=policy, strategy=strategy)
    kept = _kept(scenario, case.policy)
    rules = _names("policies", (case.policy.name,) if policies is None else policies, [one.name for one in presets()])
    manners = _names("strategies", strategies, list(STRATEGIES))
    found = {}
    for rule in rules:
        for manner in manners:
            asked = _changed(case, kept, rule, manner)
            possible = within(asked.strategy, asked.policy.preset.system)
            if possible is not None:
                told = predict(dataclasses.replace(asked, strategy=possible), level=level, seed=seed)
                found[rule, manner] = _without(told, asked)
    if not found:
        raise UsageError(
            f"strategies: {' and '.join(rules)} can do none of {', '.join(manners)}; "
            "migkit schema --policies shows what each can do"
        )
    return Alternatives(found)


def _without(told: Prediction, asked: Scenario) -> Prediction:
    """Return a prediction that says what the scenario asks for and the system has not."""
    lacking = ", ".join(one.key for one in missing(asked))
    if not lacking:
        return told
    left_out = f"left out, since {asked.policy.preset.system.name} has it not: {lacking}."
    return dataclasses.replace(told, reasons=(*told.reasons, left_out))


def _kept(given: Given | None, own: Policy) -> dict[str, Any]:
    """Return the fields of the scenario's policy that hold under every other policy, too."""
    if isinstance(given, Guest | Scenario) or given is None:
        plain = Policy(name=own.name)
        return {name: getattr(own, name) for name in _GIVEN if getattr(own, name) != getattr(plain, name)}
    tables = given if isinstance(given, Mapping) else schema.read(Path(given))
    table = tables.get("policy", {})
    if isinstance(table, Policy):
        return _kept(None, table)
    return {name: getattr(own, name) for name in _GIVEN if file_key(name) in table}


def _names(what: str, given: Iterable[str] | str, known: list[str]) -> list[str]:
    """Return names in the order given, each once; ``all`` is every known one."""
    names = list(dict.fromkeys([given] if isinstance(given, str) else given))
    for name in names:
        if name not in known and name != "all":
            raise UsageError(f"{what}: {shown(name)} is not known; use all, or some of {', '.join(known)}")
    if not names:
        raise UsageError(f"{what}: no name was given; use all, or some of {', '.join(known)}")
    return known if "all" in names else names


def _changed(case: Scenario, kept: Mapping[str, Any], rule: str, manner: str) -> Scenario:
    """Return the scenario with another policy and strategy, without settings of the old policy."""
    policy = case.policy if rule == case.policy.name else Policy(name=rule, **kept)
    return dataclasses.replace(case, policy=policy, strategy=dataclasses.replace(case.strategy, name=manner))


def _numbers(result: Prediction) -> dict[str, Any]:
    return {
        field.name: getattr(result, field.name)
        for field in dataclasses.fields(result)
        if field.name not in ("reasons", "remedies", "rounds", "timeline", "interval")
    }


def _row(item: tuple[tuple[str, str], Prediction]) -> tuple[str, ...]:
    (policy, strategy), result = item
    endless = result.transferred_bytes == float("inf")
    return (
        policy,
        strategy,
        story.in_words(result.verdict),
        format_duration(result.total_time_s),
        format_duration(result.downtime_s) if result.verdict == "converges" else "",
        "without end" if endless else format_size(result.transferred_bytes),
    )
