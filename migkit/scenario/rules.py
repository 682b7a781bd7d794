"""Registered policies across processes: a rule as plain values, and back.

The harness runs source, guest and destination as processes of their own. A rule that was registered
in this one, in a script, a notebook or a test, is taken there as its byte code and the names that it
uses, for the same Python and the same migkit.
"""

from __future__ import annotations

import base64
import builtins
import importlib
import marshal
import types
from collections.abc import Mapping
from typing import Any, cast

from migkit.errors import UsageError
from migkit.kernels._jit import Kernel
from migkit.scenario.policy import Policy, register_policy

__all__ = ["recall", "to_message"]


def to_message(policy: Policy) -> dict[str, Any] | None:
    """Return the rule of a registered policy as values that JSON takes; None for a rule that comes with migkit.

    Raises
    ------
    UsageError
        The rule uses a name that cannot be taken along.

    Examples
    --------
    >>> to_message(Policy(name="nova")) is None
    True
    """
    preset = policy.preset
    if preset.rule is None:
        return None
    return {
        "name": preset.name,
        "settings": {setting.name: setting.default for setting in preset.settings},
        "max_bandwidth_bytes_per_s": str(preset.max_bandwidth_bytes_per_s),
        "downtime_limit_s": preset.downtime_limit_s,
        "function": _taken_apart(preset.name, preset.rule),
    }


def recall(message: Mapping[str, Any] | None) -> None:
    """Register here the policy that :func:`to_message` took apart."""
    if message is None:
        return
    register = register_policy(
        message["name"],
        settings=message["settings"],
        max_bandwidth_bytes_per_s=float(message["max_bandwidth_bytes_per_s"]),
        downtime_limit_s=message["downtime_limit_s"],
    )
    register(_put_together(message["function"]))


def _taken_apart(policy: str, function: Any) -> dict[str, Any]:
    """Return a function's code and what its names stand for."""
    function = function.function if isinstance(function, Kernel) else getattr(function, "py_func", function)
    if not isinstance(function, types.FunctionType) or function.__closure__ or function.__defaults__:
        raise UsageError(
            f"policy {policy!r}: its rule is not a plain function; define it with def, without closure and defaults"
        )
    space = function.__globals__
    names = {name: _meaning(policy, name, space[name]) for name in function.__code__.co_names if name in space}
    code = base64.b64encode(marshal.dumps(function.__code__)).decode("ascii")
    return {"name": function.__name__, "code": code, "names": names}


def _meaning(policy: str, name: str, value: Any) -> dict[str, Any]:
    """Return what a name of the rule stands for: a module, a number, migkit's own function, or one of the user's."""
    if isinstance(value, types.ModuleType):
        return {"module": value.__name__}
    if isinstance(value, bool | int | float):
        return {"number": value}
    home = getattr(value.function if isinstance(value, Kernel) else value, "__module__", None) or ""
    if home.partition(".")[0] in ("migkit", "math", "numpy"):
        return {"module": home, "attribute": value.__name__}
    if callable(value):
        return {"function": _taken_apart(policy, value)}
    raise UsageError(
        f"policy {policy!r}: its rule uses {name}, a {type(value).__name__}; use only numbers, modules and functions"
    )


def _put_together(message: Mapping[str, Any]) -> Any:
    names = {name: _found(meaning) for name, meaning in message["names"].items()}
    code = cast(types.CodeType, marshal.loads(base64.b64decode(message["code"])))
    return types.FunctionType(code, {"__name__": "registered", "__builtins__": builtins, **names}, message["name"])


def _found(meaning: Mapping[str, Any]) -> Any:
    if "number" in meaning:
        return meaning["number"]
    if "function" in meaning:
        return _put_together(meaning["function"])
    module = importlib.import_module(meaning["module"])
    return getattr(module, meaning["attribute"]) if "attribute" in meaning else module
