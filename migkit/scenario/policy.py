"""Named rules that decide when a migration goes on, switches over, throttles or gives up."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from migkit.errors import UsageError
from migkit.jit import OwnRule
from migkit.policies import decision as kernel
from migkit.policies.built_in import BUILT_IN
from migkit.policies.presets import Preset, Setting
from migkit.records import Record, declared, is_taken, kind_of
from migkit.scenario.form.declaration import documented, rule
from migkit.scenario.form.fields import LARGEST, SMALLEST, Noun, check
from migkit.scenario.strategy import Strategy
from migkit.units import PAGE_BYTES

__all__ = ["Policy", "pack", "presets", "register_policy"]


class UnknownPolicyError(UsageError):
    """No policy of this name comes with migkit or was registered in this process."""


_presets: dict[str, Preset] = {preset.name: preset for preset in BUILT_IN}


class _Usual(float):
    """A number that the preset says: another preset that takes its place says another one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<the policy's>" if self == -math.inf else float.__repr__(self)


_DEFAULT: Final = _Usual(-math.inf)  # of a field: what the preset says


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Noun):
    """A hypervisor's or manager's rule and its settings.

    Examples
    --------
    >>> Policy().max_bandwidth_bytes_per_s == 128 * 2**20
    True
    >>> nova = Policy(name="nova", settings=(("steps", 5),))
    >>> nova.downtime_limit_s, nova.setting("steps"), nova.setting("delay_s_per_gib")
    (0.5, 5.0, 75.0)

    A field that was not given follows the name:

    >>> dataclasses.replace(Policy(), name="ovirt").max_bandwidth_bytes_per_s == 52 * 2**20
    True
    """

    name: str = dataclasses.field(default="qemu", metadata=rule("Which rule, one of :func:`presets`."))
    max_bandwidth_bytes_per_s: float = dataclasses.field(
        default=_DEFAULT,
        metadata=rule(
            "Cap on what the migration sends; by default the named system's, 128 MiB/s for ``qemu``. It holds for "
            "all but the final pass of pre-copy and the push of post-copy.",
            above=True,
        ),
    )
    max_postcopy_bandwidth_bytes_per_s: float = dataclasses.field(
        default=math.inf,
        metadata=rule(
            "Cap on the push of post-copy, in the same windows of 100 ms; pages that the guest waits for are sent "
            "at once and count. QEMU's ``max-postcopy-bandwidth``, unlimited by default (qapi/migration.json).",
            above=True,
        ),
    )
    downtime_limit_s: float = dataclasses.field(
        default=_DEFAULT,
        metadata=rule(
            "The pause that may be planned for at switchover, or the most that a manager raises it to; by default "
            "the named system's, 300 ms for ``qemu``.",
            high=2000.0,
        ),
    )
    time_limit_s: float = dataclasses.field(
        default=math.inf,
        metadata=rule("Give up when the migration has lasted this long.", above=True),
    )
    settings: tuple[tuple[str, float], ...] = dataclasses.field(
        default=(),
        metadata=rule(
            "Pairs of name and number: settings of the rule that differ from the named system's defaults. A "
            "setting's name carries its unit; switches are 1 and 0.",
        ),
    )

    def __post_init__(self) -> None:
        preset = _preset(self.name)
        for field in ("max_bandwidth_bytes_per_s", "downtime_limit_s"):
            if isinstance(getattr(self, field), _Usual):
                object.__setattr__(self, field, _Usual(getattr(preset, field)))
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

    @property
    def decider(self) -> OwnRule | None:
        """That function as :func:`migkit.policies.decision.decide` takes it: it reads settings and memory by name."""
        preset = self.preset
        if preset.rule is None:
            return None
        names = preset.memory, tuple(setting.name for setting in preset.settings)
        return OwnRule(preset.rule, (kernel.State, kernel.Parameters), _own_records(*names))

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
    memory: Sequence[str] = (),
    max_bandwidth_bytes_per_s: float = math.inf,
    downtime_limit_s: float = 0.3,
    summary: str = "",
    source: str = "registered in Python",
) -> Callable[[kernel.Rule], kernel.Rule]:
    """Register the decorated function as a named policy, for predictions, simulations and real runs.

    The function takes a :class:`~migkit.policies.record.State` and its
    :class:`~migkit.policies.record.Parameters` and returns an action (:mod:`migkit.policies.decision`). It
    must set the orders ``downtime_limit_s``, ``wake_remaining_bytes`` and ``wake_time_s`` of the state, or let
    :func:`migkit.policies.decision.under_limit` do so. Its settings are ``parameters.settings.NAME``, and what it
    remembers from call to call is ``state.memory.NAME``, 0 at first. It is compiled where kernels are compiled, so it
    must use only numbers, these fields, ``math``, names of :mod:`migkit.policies.decision` and functions of your own
    that do the same.

    A prediction takes a migration for settled when 1,000 rounds in a row left no less, unless what the function
    remembers has changed or it waits for a ``wake_time_s``.

    Parameters
    ----------
    name
        A new name; registering it again replaces the function.
    settings
        Names and defaults of at most 16 numbers.
    memory
        Names of at most 32 numbers that the function remembers.
    max_bandwidth_bytes_per_s, downtime_limit_s
        Defaults of the policy's fields [B/s], [s].
    summary, source
        What it does, and who says so.

    Raises
    ------
    UsageError
        The name is that of a rule that comes with migkit, a name cannot be a field's, or there are too many.

    Examples
    --------
    Switch over when a round left at most half of what the link moves within the limit:

    >>> from migkit.policies import decision as policy
    >>> @register_policy("half", settings={"share": 0.5})
    ... def half(state, parameters):
    ...     return policy.under_limit(state, parameters, parameters.settings.share * parameters.downtime_limit_s)
    >>> Policy.named("half", share=0.25).rule is half
    True
    """
    if name in _presets and _presets[name].rule is None:
        raise UsageError(f"policy {name!r}: comes with migkit; register yours under another name")
    named = tuple(Setting(name=key, default=float(default)) for key, default in (settings or {}).items())
    _check_names(name, "settings", tuple(settings or ()), kernel.MOST_SETTINGS)
    _check_names(name, "numbers to remember", tuple(memory), kernel.MOST_REMEMBERED)
    _, own_parameters = _own_records(tuple(memory), tuple(settings or ()))

    def register(rule: kernel.Rule) -> kernel.Rule:
        _presets[name] = Preset(
            name=name,
            summary=summary or (rule.__doc__ or "").strip().partition("\n")[0],
            version="",
            source=source,
            code=kernel.REGISTERED,
            rule=rule,
            own=kind_of(own_parameters, "settings"),
            memory=tuple(memory),
            max_bandwidth_bytes_per_s=max_bandwidth_bytes_per_s,
            downtime_limit_s=downtime_limit_s,
            settings=named,
        )
        return rule

    return register


def _check_names(policy: str, what: str, names: tuple[str, ...], most: int) -> None:
    if len(names) > most:
        raise UsageError(f"policy {policy!r}: {len(names)} {what}; at most {most} fit, put some together")
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or is_taken(name):
            raise UsageError(f"policy {policy!r}: {name!r} cannot be read as a field; use letters, digits and _")


@functools.cache
def _own_records(memory: tuple[str, ...], settings: tuple[str, ...]) -> tuple[type[Record], type[Record]]:
    """Return the kinds of state and parameters as which a registered rule reads them."""
    remembers = declared("OwnMemory", Record, **dict.fromkeys(memory, float)) if memory else kernel.Memory
    is_set = declared("OwnSettings", Record, **dict.fromkeys(settings, float)) if settings else kernel.Settings
    state = declared("OwnState", kernel.State, memory=remembers)
    return state, declared("OwnParameters", kernel.Parameters, settings=is_set)


def pack(policy: Policy, strategy: Strategy | None = None, rows: int | None = None) -> kernel.Parameters:
    """Return the parameter record that :func:`migkit.policies.decision.decide` takes.

    With ``rows``, fields that are numbers may be arrays of so many, and there is a column for each.

    Examples
    --------
    >>> float(pack(Policy.named("nova")).downtime_limit_s)
    0.5
    """
    strategy = strategy or Strategy()
    parameters = kernel.Parameters.new(rows)
    for setting in _QEMU_SETTINGS + policy.preset.settings:
        _set(parameters, policy.preset, setting, setting.default)
    parameters.policy = policy.preset.code
    parameters.downtime_limit_s = policy.downtime_limit_s
    parameters.time_limit_s = policy.time_limit_s
    for name, value in policy.settings:
        _set(parameters, policy.preset, _setting(policy.preset, name), value)
    _pack_strategy(parameters, strategy, policy.preset.system.auto_converge.always)
    return parameters


def _set(parameters: kernel.Parameters, preset: Preset, setting: Setting, value: float) -> None:
    setattr(parameters if setting.common else parameters.settings.view(preset.own), setting.name, value)


_QEMU_SETTINGS: Final = _presets["qemu"].settings
_STRATEGIES: Final = {
    "precopy": kernel.PRECOPY,
    "stopcopy": kernel.STOPCOPY,
    "postcopy": kernel.POSTCOPY_ONLY,
    "hybrid": kernel.HYBRID,
}


def _pack_strategy(parameters: kernel.Parameters, strategy: Strategy, auto_converge: bool) -> None:
    parameters.strategy = _STRATEGIES[strategy.name]
    after_s, rounds = strategy.postcopy_after_s, strategy.postcopy_after_rounds
    parameters.postcopy_after_s = 0.0 if after_s is None else np.maximum(after_s, 1e-9)
    parameters.postcopy_after_rounds = (1 if after_s is None else 0) if rounds is None else rounds
    if np.isfinite(strategy.dirty_limit_bytes_per_s).all():
        parameters.throttle_rule = kernel.DIRTY_LIMIT
        parameters.dirty_limit_pages_per_s = strategy.dirty_limit_bytes_per_s / PAGE_BYTES
    elif strategy.auto_converge or auto_converge:
        parameters.throttle_rule = kernel.AUTO_CONVERGE


def _preset(name: str) -> Preset:
    if not isinstance(name, str) or name not in _presets:
        known = ", ".join(_presets)
        raise UnknownPolicyError(f"policy.name: {name!r} is not known; use one of {known}")
    return _presets[name]


def _setting(preset: Preset, name: str) -> Setting:
    for setting in preset.settings:
        if setting.name == name:
            return setting
    names = [setting.name for setting in preset.settings]
    near = [one for one in names if str(name).endswith(f"_{one}")]
    near = near or difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    advice = f'did you mean "{near[0]}"?' if near else f"its settings are {', '.join(names)}"
    raise UsageError(f"policy.settings.{name}: not a setting of {preset.name}; {advice}")


def _check_setting(preset: Preset, name: str, value: float) -> None:
    positive = _setting(preset, name).positive
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (SMALLEST if positive else 0) <= value <= LARGEST:
        bound = "above" if positive else "of at least"
        raise UsageError(
            f"policy.settings.{name}: {value!r} is not a number {bound} 0, at most {LARGEST:g}; "
            "give it in the unit that the name says"
        )
