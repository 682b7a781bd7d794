"""The one decorator of every kernel, with each option and its reason."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from migkit.errors import UsageError

__all__ = ["Kernel", "callback", "compile_kernels", "foreign", "inlined", "jit", "lean"]

F = TypeVar("F", bound=Callable[..., Any])

_waiting: list[Kernel] = []
_compiling = False
_callbacks: dict[Callable[[Any, Any], int], Any] = {}


class Kernel:
    """A kernel that is plain Python until :func:`compile_kernels` is called.

    Importing numba takes most of a second; one scenario takes less than a
    millisecond in plain Python and gives the same bits. So the kernels of a
    process stay plain until a batch, a harness or a page-level simulation asks
    for speed.
    """

    def __init__(self, function: Callable[..., Any], build: Callable[[Any], Any]) -> None:
        self.function = function
        self.build = build
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def jit(function: F) -> F:
    """Mark ``function`` as a kernel; it is compiled on its first call after :func:`compile_kernels`."""
    return _kernel(function, _compiled)


def lean(function: F) -> F:
    """Mark a kernel that creates no array, nor calls one that does: it is compiled without reference counts.

    Counting the references to each array argument of each call, in a way that is safe
    between threads, takes most of the time of small functions that call each other.
    """
    return _kernel(function, partial(_compiled, counted=False))


def inlined(function: F) -> F:
    """Mark a lean kernel that is compiled into its callers: passing arrays costs more than what it does."""
    return _kernel(function, partial(_compiled, counted=False, inlined=True))


def foreign(result: str, *arguments: str) -> Callable[[F], F]:
    """Mark what stands in for the C library's function of that name until kernels are compiled.

    ``result`` and ``arguments`` are names of numba's types. The ``errno`` of the library's function is lost.
    """
    return lambda function: _kernel(function, partial(_linked, result=result, arguments=arguments))


def _kernel(function: F, build: Callable[[F], Any]) -> F:
    if _compiling:
        return build(function)
    kernel = Kernel(function, build)
    _waiting.append(kernel)
    return kernel  # type: ignore[return-value]


def compile_kernels() -> None:
    """From now on, kernels are compiled: those already imported and those to come.

    Call kernels through their module (``precopy.precopy_one(...)``), since the names
    in the kernel modules are bound anew here.
    """
    global _compiling
    _compiling = True
    if not _waiting:
        return
    compiled = {id(kernel): kernel.build(kernel.function) for kernel in _waiting}
    for name, module in list(sys.modules.items()):
        if name.startswith(__package__ or ""):
            for attribute, value in list(vars(module).items()):
                if isinstance(value, Kernel):
                    setattr(module, attribute, compiled[id(value)])
    for kernel in _waiting:
        kernel.function = compiled[id(kernel)]
    _waiting.clear()


def callback(rule: Callable[[Any, Any], int] | None) -> Any:
    """Return ``rule(state, parameters)`` as the argument that kernels take: None, the function itself, or compiled.

    It is compiled to a C function of one fixed type, so that kernels which take it as an
    argument are compiled once for all rules, and their cache holds in the next process.

    Raises
    ------
    UsageError
        The rule uses something that cannot be compiled.
    """
    if rule is None or not _compiling:
        return rule
    if rule not in _callbacks:
        _callbacks[rule] = _compiled_callback(rule)
    return _callbacks[rule]


def _compiled_callback(rule: Callable[[Any, Any], int]) -> Any:
    import numba
    from numba.core import config
    from numba.core.errors import NumbaError

    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return rule
    record = numba.types.float64[::1]
    try:
        return numba.cfunc(numba.types.int64(record, record), error_model="numpy")(_with_compiled_names(rule))
    except NumbaError as error:
        raise UsageError(
            f"policy rule {rule.__name__}: cannot be compiled ({str(error).strip().splitlines()[0]}); "
            "use only numbers, arrays, math, names of migkit.kernels.policy and functions that do the same"
        ) from error


def _with_compiled_names(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a user's function whose own helpers, and the kernels that it names, are compiled."""
    import numba

    if not isinstance(function, types.FunctionType):
        return function
    names = dict(function.__globals__)
    for name in function.__code__.co_names:
        value = names.get(name)
        if isinstance(value, Kernel):
            names[name] = value.function
        elif isinstance(value, types.FunctionType) and not value.__module__.startswith("numpy"):
            names[name] = numba.njit(error_model="numpy")(_with_compiled_names(value))
    return types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )


def _compiled(function: Callable[..., Any], *, counted: bool = True, inlined: bool = False) -> Callable[..., Any]:
    """Return numba's dispatcher of ``function``.

    * ``cache``: a second process starts without compiling; of a user's helper there may be no file;
    * ``nogil``: chunks of one sweep run in a pool of threads;
    * ``error_model="numpy"``: x/0 is inf or nan as in numpy, and divisions vectorise;
    * ``_nrt`` off for kernels that create no arrays: no reference counts;
    * ``forceinline`` for small ones that are called in every turn;
    * no ``fastmath``: results equal those of the plain Python function bit for bit;
    * no ``parallel``: its threads do not survive a fork.

    ``NUMBA_DISABLE_JIT=1`` gives the plain function.
    """
    import numba

    ours = function.__module__.startswith("migkit.")
    lean: dict[str, Any] = {} if counted else {"_nrt": False}
    if inlined:
        lean["forceinline"] = True
    dispatcher: Callable[..., Any] = numba.njit(cache=ours, nogil=True, error_model="numpy", **lean)(function)
    return dispatcher


def _linked(function: F, *, result: str, arguments: tuple[str, ...]) -> Any:
    """Return the C library's function of that name for compiled code to call; it is looked up when that is loaded."""
    from numba import types
    from numba.core import config

    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    signature = getattr(types, result)(*(getattr(types, argument) for argument in arguments))
    return types.ExternalFunction(function.__name__, signature)
