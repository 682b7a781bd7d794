"""What a scenario asks of QEMU: capabilities and parameters of both sides, under QEMU's own names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

from migkit.errors import UsageError
from migkit.policies import decision as kernel
from migkit.qemu.monitor import LackingError
from migkit.qemu.versions import Interface
from migkit.scenario import Policy, Scenario, Strategy
from migkit.scenario.policy import presets
from migkit.units import MIB, format_rate

__all__ = ["Plan", "plan"]

_LEAST_BYTES_PER_S: Final = 10.0
_UNLIMITED_BYTES_PER_S: Final = 1 << 40  # QEMU plans its switchover with a number
_COMPRESSIONS: Final = ("none", "zlib", "zstd")
_THROTTLE: Final = {
    "cpu-throttle-initial": "throttle_initial",
    "cpu-throttle-increment": "throttle_increment",
    "max-cpu-throttle": "throttle_max",
    "throttle-trigger-threshold": "throttle_trigger",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What QEMU is told before a migration.

    Attributes
    ----------
    capabilities
        To switch on at both sides.
    parameters
        Of ``migrate-set-parameters`` at the source.
    shared
        Those of them that the destination needs as well.
    """

    capabilities: tuple[str, ...]
    parameters: Mapping[str, Any]
    shared: tuple[str, ...] = ("multifd-channels", "multifd-compression", "tls-creds")

    def check(self, interface: Interface, version: str) -> None:
        """Raise :class:`LackingError` when the QEMU lacks something of it."""
        lacking = [name for name in self.capabilities if name not in interface.capabilities]
        lacking += [name for name in self.parameters if name not in interface.parameters]
        if lacking:
            raise LackingError(
                f"QEMU {version}: has no {' and no '.join(lacking)}; name a version that has it with --qemu PATH, "
                "or leave out of the scenario what needs it"
            )

    def at_destination(self) -> dict[str, Any]:
        """Return the parameters of the destination."""
        return {name: value for name, value in self.parameters.items() if name in self.shared}


def plan(scenario: Scenario, *, return_path: bool = False) -> Plan:
    """Return what a scenario asks of QEMU.

    Raises
    ------
    UsageError
        It asks for what QEMU does not do, or what this lab does not capture.

    Examples
    --------
    >>> from migkit import Guest, Scenario, Strategy
    >>> asked = plan(Scenario(guest=Guest(memory_bytes=64 * MIB), strategy=Strategy(streams=2)))
    >>> asked.capabilities, asked.parameters["multifd-channels"]
    (('events', 'multifd'), 2)
    """
    _check(scenario)
    policy, strategy = scenario.policy, scenario.strategy
    return Plan(
        capabilities=_capabilities(strategy, return_path),
        parameters=_limits(policy) | _ways(strategy) | (_throttle(policy) if strategy.auto_converge else {}),
    )


def _check(scenario: Scenario) -> None:
    policy, strategy = scenario.policy, scenario.strategy
    if policy.preset.code != kernel.QEMU:
        own = ", ".join(preset.name for preset in presets() if preset.code == kernel.QEMU)
        raise UsageError(f'policy.name: QEMU does not follow "{policy.name}", only its own rule; use one of {own}')
    if strategy.compression not in _COMPRESSIONS:
        raise UsageError(
            f'strategy.compression: QEMU has no "{strategy.compression}"; use one of {", ".join(_COMPRESSIONS)}'
        )
    for name in ("max_bandwidth", "max_postcopy_bandwidth"):
        rate = getattr(policy, f"{name}_bytes_per_s")
        if rate < _LEAST_BYTES_PER_S:
            raise UsageError(
                f"policy.{name}: {format_rate(rate)} is no cap to QEMU, which counts by tenths of a second; "
                f"it must be at least {format_rate(_LEAST_BYTES_PER_S)}"
            )
    for name, why in (
        ("storage_bytes", "disks are not captured; leave it out"),
        ("checkpoint_bytes", "QEMU writes none before a migration; leave it out"),
        ("prefetch_pages", "QEMU sends no neighbours of a page that faulted; leave it out"),
    ):
        if value := getattr(strategy, name):
            raise UsageError(f"strategy.{name.removesuffix('_bytes')}: {value:,} was given, but {why}")


def _capabilities(strategy: Strategy, return_path: bool) -> tuple[str, ...]:
    posts = strategy.name in ("postcopy", "hybrid")
    many = strategy.streams > 1 or strategy.compression != "none"
    wanted = {
        "events": True,
        "return-path": return_path,
        "postcopy-ram": posts,
        "postcopy-preempt": posts and strategy.preempt and not many,
        "auto-converge": strategy.auto_converge,
        "dirty-limit": math.isfinite(strategy.dirty_limit_bytes_per_s),
        "xbzrle": strategy.xbzrle,
        "multifd": many,
    }
    return tuple(name for name, on in wanted.items() if on)


def _limits(policy: Policy) -> dict[str, Any]:
    found = {
        "max-bandwidth": _rate(policy.max_bandwidth_bytes_per_s),
        "downtime-limit": round(1e3 * policy.downtime_limit_s),
    }
    if math.isfinite(policy.max_postcopy_bandwidth_bytes_per_s):
        found["max-postcopy-bandwidth"] = _rate(policy.max_postcopy_bandwidth_bytes_per_s)
    if assumed := policy.setting("switchover_bandwidth_bytes_per_s"):
        found["avail-switchover-bandwidth"] = _rate(assumed)
    return found


def _rate(bytes_per_s: float) -> int:
    return round(min(bytes_per_s, _UNLIMITED_BYTES_PER_S))


def _ways(strategy: Strategy) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if strategy.streams > 1 or strategy.compression != "none":
        found |= {"multifd-channels": strategy.streams, "multifd-compression": strategy.compression}
    if strategy.xbzrle:
        found["xbzrle-cache-size"] = strategy.xbzrle_cache_bytes
    if math.isfinite(strategy.dirty_limit_bytes_per_s):
        found["vcpu-dirty-limit"] = max(1, round(strategy.dirty_limit_bytes_per_s / MIB))
    if strategy.tls:
        found["tls-creds"] = "tls"
    return found


def _throttle(policy: Policy) -> dict[str, Any]:
    settings = {setting.name for setting in policy.preset.settings}
    found: dict[str, Any] = {
        theirs: round(100 * policy.setting(ours)) for theirs, ours in _THROTTLE.items() if ours in settings
    }
    if "throttle_tailslow" in settings:
        found["cpu-throttle-tailslow"] = bool(policy.setting("throttle_tailslow"))
    return found
