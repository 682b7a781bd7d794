"""Registered policies across processes: a rule as plain values, and back.

The harness runs source, guest and destination as processes of their own, and they need a rule that was
registered in this one. What travels to them, over the private channel on which their parent starts them and
nowhere else, is the rule's name: its module, the module's file and the function in it, which they import. A rule
without a module to import, of a script, a notebook or inside another function, travels as its source text with
what the names in it stand for.

No file holds a rule and no frame of the wire protocol does: a scenario names a policy, and the process that reads
it must have registered that by itself.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from migkit.errors import UsageError
from migkit.jit import Kernel
from migkit.scenario.policy import Policy, register_policy

__all__ = ["recall", "to_message"]

_ADVICE = "put the rule into a module and import it"


def to_message(policy: Policy) -> dict[str, Any] | None:
    """Return the rule of a registered policy as values that JSON takes; None for a rule that comes with migkit.

    Raises
    ------
    UsageError
        The rule, or a name that it uses, can neither be imported elsewhere nor be had as text.

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
        "memory": list(preset.memory),
        "max_bandwidth_bytes_per_s": str(preset.max_bandwidth_bytes_per_s),
        "downtime_limit_s": preset.downtime_limit_s,
        "function": _described(preset.name, preset.rule, ()),
        "path": [str(Path(folder).absolute()) for folder in sys.path],
    }


def recall(message: Mapping[str, Any] | None) -> None:
    """Register here the policy that :func:`to_message` described.

    It imports and runs what the message says: take one from the process that started this one, and from
    nobody else.
    """
    if message is None:
        return
    sys.path += [path for path in message["path"] if path not in sys.path]
    register = register_policy(
        message["name"],
        settings=message["settings"],
        memory=message["memory"],
        max_bandwidth_bytes_per_s=float(message["max_bandwidth_bytes_per_s"]),
        downtime_limit_s=message["downtime_limit_s"],
    )
    register(_found(message["function"]))


def _described(policy: str, function: Any, within: tuple[Any, ...]) -> dict[str, Any]:
    """Return where a function can be imported, else its text; ``within`` are those whose text names it."""
    function = _plain(function)
    if not isinstance(function, types.FunctionType):
        raise UsageError(f"policy {policy!r}: its rule is not a plain function; define it with def")
    if _imported(function.__module__, function.__qualname__) is function:
        file = getattr(sys.modules[function.__module__], "__file__", None)
        return {"module": function.__module__, "attribute": function.__qualname__, "file": file}
    if function.__closure__ or function.__defaults__ or function.__kwdefaults__ or function in within:
        raise UsageError(
            f"policy {policy!r}: {function.__name__} is not a plain function (it has a closure or defaults, or calls "
            f"itself); {_ADVICE}"
        )
    space = function.__globals__
    names = {name: space[name] for code in _codes(function.__code__) for name in code.co_names if name in space}
    return {
        "name": function.__name__,
        "source": _source(policy, function),
        "names": {name: _meaning(policy, name, value, (*within, function)) for name, value in names.items()},
    }


def _plain(function: Any) -> Any:
    """Return the Python function of a kernel of ours or of numba's."""
    return function.function if isinstance(function, Kernel) else getattr(function, "py_func", function)


def _imported(module: str, name: str) -> Any:
    """Return what another process would find under a name of a module, None if it could not import that."""
    found: Any = sys.modules.get(module)
    if module == "__main__" or getattr(found, "__spec__", None) is None:
        return None
    for part in name.split("."):
        found = getattr(found, part, None)
    return _plain(found)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield byte code and all that is inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _source(policy: str, function: types.FunctionType) -> str:
    """Return the text of a function without decorators and annotations, once it is proven to be its text."""
    try:
        whole = ast.parse("".join(inspect.findsource(function)[0]))
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError) as error:
        raise UsageError(
            f"policy {policy!r}: the text of {function.__name__} cannot be had here; {_ADVICE}"
        ) from error
    if not any(_alike(function.__code__, each) for each in _compiled(whole)):
        raise UsageError(f"policy {policy!r}: the text of {function.__name__} is not what runs; load it again")
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise UsageError(f"policy {policy!r}: {function.__name__} is not defined with def; {_ADVICE}")
    definition.decorator_list, definition.returns = [], None
    for argument in ast.walk(definition.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return ast.unparse(definition)


def _compiled(whole: ast.Module) -> Iterator[types.CodeType]:
    """Yield all byte code of a text: compiled at once, as a script is, and by statement, as a notebook's cell is.

    The two differ, for instance in how they call functions of a module that the text itself imports.
    """
    for part in (whole, *(ast.Module([statement], []) for statement in whole.body)):
        yield from _codes(compile(part, "", "exec", dont_inherit=True))


def _alike(one: types.CodeType, other: types.CodeType) -> bool:
    """Say whether two pieces of byte code stand at one line and do the same."""
    return all(getattr(one, name) == getattr(other, name) for name in ("co_firstlineno", "co_names", "co_code"))


def _meaning(policy: str, name: str, value: Any, within: tuple[Any, ...]) -> dict[str, Any]:
    """Return what a name of a rule stands for: a module, a number, or a function."""
    if isinstance(value, types.ModuleType):
        return {"module": value.__name__, "file": getattr(value, "__file__", None)}
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, bool | int | float):
        return {"number": value}
    home = getattr(_plain(value), "__module__", None) or ""
    if home.partition(".")[0] in ("migkit", "math", "numpy"):
        return {"module": home, "attribute": value.__name__, "file": None}
    if callable(value):
        return _described(policy, value, within)
    raise UsageError(
        f"policy {policy!r}: its rule uses {name}, a {type(value).__name__}; use only numbers, modules and functions"
    )


def _found(meaning: Mapping[str, Any]) -> Any:
    """Return what was described."""
    if "number" in meaning:
        return meaning["number"]
    if "source" in meaning:
        names = {name: _found(each) for name, each in meaning["names"].items()}
        return _made(meaning["name"], meaning["source"], names)
    found: Any = _import(meaning["module"], meaning["file"])
    for part in meaning["attribute"].split(".") if "attribute" in meaning else ():
        found = getattr(found, part)
    return found


def _made(name: str, source: str, names: Mapping[str, Any]) -> types.FunctionType:
    """Return the function that a text defines."""
    space = {"__name__": "registered", **names}
    exec(compile(source, f"<policy rule {name}>", "exec", dont_inherit=True), space)
    function = space[name]
    assert isinstance(function, types.FunctionType)
    return function


def _import(module: str, file: str | None) -> types.ModuleType:
    """Return a module by its name, or from its file where no folder on the path has it.

    Raises
    ------
    UsageError
        It cannot be imported here.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        spec = importlib.util.spec_from_file_location(module, file) if file else None
        if spec is None or spec.loader is None:
            raise UsageError(f"policy rule: {module} cannot be imported in another process ({error})") from error
    loaded = sys.modules[module] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
