"""Named rules that decide when a migration goes on, switches over, throttles or gives up."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from migkit.errors import UsageError
from migkit.kernels import policy as kernel
from migkit.scenario._fields import bounded, check, slots
from migkit.scenario.presets import BUILT_IN, Preset, Setting
from migkit.scenario.strategy import Strategy
from migkit.units import PAGE_BYTES

__all__ = ["Policy", "pack", "presets", "register_policy"]

_presets: dict[str, Preset] = {preset.name: preset for preset in BUILT_IN}
_DEFAULT: Final = -math.inf  # of a field: what the preset says


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A hypervisor's or manager's rule and its settings.

    Attributes
    ----------
    name
        Which rule, one of :func:`presets`.
    max_bandwidth_bytes_per_s
        Cap on what the migration sends [B/s]; by default the named system's, 128 MiB/s for ``qemu``.
        It holds for all but the final pass of pre-copy and the push of post-copy.
    max_postcopy_bandwidth_bytes_per_s
        Cap on the push of post-copy, in the same windows of 100 ms [B/s]; pages that the guest waits for are sent
        at once and count. QEMU's ``max-postcopy-bandwidth``, unlimited by default (qapi/migration.json).
    downtime_limit_s
        The pause that may be planned for at switchover [s], or the most that a manager raises it to; by
        default the named system's, 300 ms for ``qemu``.
    time_limit_s
        Give up when the migration has lasted this long [s].
    settings
        Pairs of name and number: settings of the rule that differ from the named system's defaults.
        A setting's name carries its unit; switches are 1 and 0.

    Examples
    --------
    >>> Policy().max_bandwidth_bytes_per_s == 128 * 2**20
    True
    >>> nova = Policy(name="nova", settings=(("steps", 5),))
    >>> nova.downtime_limit_s, nova.setting("steps"), nova.setting("delay_s_per_gib")
    (0.5, 5.0, 75.0)
    """

    name: str = "qemu"
    max_bandwidth_bytes_per_s: float = bounded(_DEFAULT, above=True)
    max_postcopy_bandwidth_bytes_per_s: float = bounded(math.inf, above=True)
    downtime_limit_s: float = bounded(_DEFAULT, high=2000.0)
    time_limit_s: float = bounded(math.inf, above=True)
    settings: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        preset = _preset(self.name)
        for field in ("max_bandwidth_bytes_per_s", "downtime_limit_s"):
            if getattr(self, field) is _DEFAULT:
                object.__setattr__(self, field, getattr(preset, field))
        check(self, "policy")
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in self.settings):
            raise UsageError(
                f"policy.settings: {self.settings!r} is not pairs of name and number; write (('steps', 5),)"
            )
        for name, value in self.settings:
            _check_setting(preset, name, value)

    @classmethod
    def named(cls, name: str, **changes: Any) -> Policy:
        """Return a policy with the documented defaults of ``name``; ``changes`` are fields or settings.

        Examples
        --------
        >>> Policy.named("ovirt").downtime_limit_s
        0.5
        >>> Policy.named("nova", delay_s_per_gib=30, time_limit_s=600.0).setting("delay_s_per_gib")
        30.0
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        settings = tuple((key, value) for key, value in changes.items() if key not in fields)
        given = {key: value for key, value in changes.items() if key in fields}
        return cls(name=name, settings=tuple(given.pop("settings", ())) + settings, **given)

    @property
    def preset(self) -> Preset:
        """The rule's documented defaults, version and source."""
        return _preset(self.name)

    @property
    def rule(self) -> kernel.Rule | None:
        """The registered Python function of this policy; None for a rule that comes with migkit."""
        return self.preset.rule

    def setting(self, name: str) -> float:
        """Return the value of a setting that is in force."""
        for key, value in self.settings:
            if key == name:
                return float(value)
        return _setting(self.preset, name).default


def presets() -> tuple[Preset, ...]:
    """Return every named policy, those registered included.

    Examples
    --------
    >>> [preset.name for preset in presets()][:4]
    ['qemu', 'qemu-7', 'qemu-8.2', 'qemu-10']
    """
    return tuple(_presets.values())


def register_policy(
    name: str,
    *,
    settings: Mapping[str, float] | None = None,
    max_bandwidth_bytes_per_s: float = math.inf,
    downtime_limit_s: float = 0.3,
    summary: str = "",
    source: str = "registered in Python",
) -> Callable[[kernel.Rule], kernel.Rule]:
    """Register the decorated function as a named policy, for predictions, simulations and real runs.

    The function takes the state record and the parameter record of
    :mod:`migkit.kernels.policy` and returns an action. It must set the orders
    DOWNTIME_LIMIT_S, WAKE_REMAINING_BYTES and WAKE_TIME_S, or let
    :func:`migkit.kernels.policy.under_limit` do so; it may remember numbers in the slots from
    MEMORY on. It is compiled where kernels are compiled, so it must use only numbers, arrays, ``math``,
    names of :mod:`migkit.kernels.policy` and functions of your own that do the same.

    A prediction takes a migration for settled when 1,000 rounds in a row left no less, unless what the function
    remembers has changed or it waits for a WAKE_TIME_S.

    Parameters
    ----------
    name
        A new name; registering it again replaces the function.
    settings
        Names and defaults of at most 16 numbers, read from ``parameters[SETTINGS]`` on, in this order.
    max_bandwidth_bytes_per_s, downtime_limit_s
        Defaults of the policy's fields [B/s], [s].
    summary, source
        What it does, and who says so.

    Raises
    ------
    UsageError
        The name is that of a rule that comes with migkit, or there are too many settings.

    Examples
    --------
    Switch over when a round left at most half of what the link moves within the limit:

    >>> from migkit.kernels import policy
    >>> @register_policy("half", settings={"share": 0.5})
    ... def half(state, parameters):
    ...     return policy.under_limit(state, parameters, parameters[policy.SETTINGS] * parameters[policy.LIMIT_S])
    >>> Policy.named("half", share=0.25).rule is half
    True
    """
    if name in _presets and _presets[name].rule is None:
        raise UsageError(f"policy {name!r}: comes with migkit; register yours under another name")
    room = kernel.PARAMETER_SLOTS - kernel.SETTINGS
    named = tuple(
        Setting(name=key, default=float(default), slot=kernel.SETTINGS + at)
        for at, (key, default) in enumerate((settings or {}).items())
    )
    if len(named) > room:
        raise UsageError(f"policy {name!r}: {len(named)} settings; at most {room} fit, put some together")

    def register(rule: kernel.Rule) -> kernel.Rule:
        _presets[name] = Preset(
            name=name,
            summary=summary or (rule.__doc__ or "").strip().partition("\n")[0],
            version="",
            source=source,
            code=kernel.REGISTERED,
            rule=rule,
            max_bandwidth_bytes_per_s=max_bandwidth_bytes_per_s,
            downtime_limit_s=downtime_limit_s,
            settings=named,
        )
        return rule

    return register


def pack(policy: Policy, strategy: Strategy | None = None, rows: int | None = None) -> np.ndarray:
    """Return the parameter record that :func:`migkit.kernels.policy.decide` takes.

    With ``rows``, fields that are numbers may be arrays of so many, and there is a column for each.

    Examples
    --------
    >>> float(pack(Policy.named("nova"))[kernel.LIMIT_S])
    0.5
    """
    strategy = strategy or Strategy()
    parameters = slots(kernel.PARAMETER_SLOTS, rows)
    for setting in _QEMU_SETTINGS + policy.preset.settings:
        parameters[setting.slot] = setting.default
    parameters[kernel.POLICY] = policy.preset.code
    parameters[kernel.LIMIT_S] = policy.downtime_limit_s
    parameters[kernel.TIME_LIMIT_S] = policy.time_limit_s
    for name, value in policy.settings:
        parameters[_setting(policy.preset, name).slot] = value
    _pack_strategy(parameters, strategy, policy.preset.auto_converge)
    return parameters


_QEMU_SETTINGS: Final = _presets["qemu"].settings
_STRATEGIES: Final = {
    "precopy": kernel.PRECOPY,
    "stopcopy": kernel.STOPCOPY,
    "postcopy": kernel.POSTCOPY_ONLY,
    "hybrid": kernel.HYBRID,
}


def _pack_strategy(parameters: np.ndarray, strategy: Strategy, auto_converge: bool) -> None:
    parameters[kernel.STRATEGY] = _STRATEGIES[strategy.name]
    after_s, rounds = strategy.postcopy_after_s, strategy.postcopy_after_rounds
    parameters[kernel.POSTCOPY_AFTER_S] = 0.0 if after_s is None else np.maximum(after_s, 1e-9)
    parameters[kernel.POSTCOPY_AFTER_ROUNDS] = (1 if after_s is None else 0) if rounds is None else rounds
    if np.isfinite(strategy.dirty_limit_bytes_per_s).all():
        parameters[kernel.THROTTLE_RULE] = kernel.DIRTY_LIMIT
        parameters[kernel.DIRTY_LIMIT_RATE] = strategy.dirty_limit_bytes_per_s / PAGE_BYTES
    elif strategy.auto_converge or auto_converge:
        parameters[kernel.THROTTLE_RULE] = kernel.AUTO_CONVERGE


def _preset(name: str) -> Preset:
    if not isinstance(name, str) or name not in _presets:
        known = ", ".join(_presets)
        raise UsageError(f"policy.name: {name!r} is not known; use one of {known}")
    return _presets[name]


def _setting(preset: Preset, name: str) -> Setting:
    for setting in preset.settings:
        if setting.name == name:
            return setting
    names = [setting.name for setting in preset.settings]
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    advice = f'did you mean "{near[0]}"?' if near else f"its settings are {', '.join(names)}"
    raise UsageError(f"policy.settings.{name}: not a setting of {preset.name}; {advice}")


def _check_setting(preset: Preset, name: str, value: float) -> None:
    positive = _setting(preset, name).positive
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.0 <= value < math.inf or (positive and value == 0):
        bound = "above" if positive else "of at least"
        raise UsageError(
            f"policy.settings.{name}: {value!r} is not a number {bound} 0; give it in the unit that the name says"
        )
