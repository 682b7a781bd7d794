"""The one decorator of every kernel, with each option and its reason."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import types
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeGuard, TypeVar

import numpy as np

from migkit.errors import UsageError
from migkit.jit import numba_types, startup
from migkit.records import Record

__all__ = [
    "Kernel",
    "OwnRule",
    "are_compiled",
    "assign",
    "callback",
    "can_compile",
    "clear",
    "compile_kernels",
    "foreign",
    "inlined",
    "jit",
    "lean",
    "owned",
    "rarely",
    "rows",
    "steady",
]

F = TypeVar("F", bound=Callable[..., Any])

_waiting: list[Kernel] = []
_compiling = False  # kernels to come are compiled
_compiled_by_now = False  # those that were there are, too
_turn = threading.RLock()
_callbacks: dict[OwnRule, Any] = {}


@dataclasses.dataclass(frozen=True)
class OwnRule:
    """A user's ``function(state, parameters)``, which reads two records under names of its own.

    Attributes
    ----------
    function
        What decides.
    given
        The kinds of the two records that callers have.
    read
        The kinds as which the function reads them; what has a name in both lies at one place.
    """

    function: Callable[[Any, Any], int]
    given: tuple[type[Record], type[Record]]
    read: tuple[type[Record], type[Record]]

    def __call__(self, state: Any, parameters: Any) -> int:
        """Call the plain function."""
        return self.function(state.view(self.read[0]), parameters.view(self.read[1]))


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
        """Call the plain function."""
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


def _owning(function: Callable[[Any], Any]) -> Any:
    """Return what compiled code calls for :func:`owned`: the copy lies on the stack of the function that calls it."""
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    if _is_off():
        return function

    def own(context: Any, record: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_constant(types.intp, record.size)
            copy = cgutils.alloca_once(builder, cgutils.int8_t, size=number)  # type: ignore[no-untyped-call]
            cgutils.raw_memcpy(builder, copy, arguments[0], number, 1)  # type: ignore[no-untyped-call]
            return builder.bitcast(copy, context.get_value_type(record))

        return record(record), generate

    return intrinsic(own)


@partial(_kernel, build=_owning)
def owned(record: Any) -> Any:
    """Return a copy of a record, for as long as the call lasts that asks for it.

    Compiled code is faster with it than with one that came with the call: nobody else can change it, so its numbers
    need not be read again after each write to another record.
    """
    return record.copy()


def _foretelling(function: Callable[[Any], Any]) -> Any:
    """Return what compiled code calls for :func:`rarely`: LLVM's ``expect`` with the answer no."""
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    if _is_off():
        return function

    def foretell(context: Any, condition: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            bit = cgutils.bool_t
            kind = type(builder.function.function_type)(bit, [bit, bit])
            expect = builder.module.declare_intrinsic("llvm.expect", [bit], kind)
            return builder.call(expect, [arguments[0], cgutils.false_bit])

        return types.boolean(condition), generate

    return intrinsic(foretell)


@partial(_kernel, build=_foretelling)
def rarely(condition: bool) -> bool:
    """Return a condition that is rarely true.

    Else compiled code may work out what follows from it, a division, say, before it is known whether that is needed.
    """
    return condition


def compile_kernels() -> None:
    """From now on, kernels are compiled: those already imported and those to come.

    Call kernels through their module (``precopy.precopy_one(...)``), since the names
    in the kernel modules are bound anew here. Where numba is not installed, as in a
    browser, nothing happens: kernels stay plain Python, which gives the same bits.
    """
    global _compiling, _compiled_by_now
    if not can_compile():
        return
    if not _compiling:
        numba_types.teach(clear, assign)
    _compiling = True
    with _turn:
        if _waiting and not _is_off():
            startup.make_ready()
        _bind_anew()
        _compiled_by_now = True


def _bind_anew() -> None:
    """Put compiled kernels in the place of plain ones, wherever they are known."""
    if not _waiting:
        return
    compiled = {id(kernel): kernel.build(kernel.function) for kernel in _waiting}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "migkit":
            for attribute, value in list(vars(module).items()):
                if isinstance(value, Kernel):
                    setattr(module, attribute, compiled[id(value)])
    for kernel in _waiting:
        kernel.function = compiled[id(kernel)]
    _waiting.clear()


@cache
def can_compile() -> bool:
    """Return whether numba is installed."""
    try:
        import numba  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def are_compiled() -> bool:
    """Return whether :func:`compile_kernels` was called, and is done."""
    return _compiled_by_now


def steady() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which plain kernels stay plain: compiled ones take records in another form."""
    return contextlib.nullcontext() if _compiled_by_now else _turn


def rows(kind: type[Record], numbers: np.ndarray, groups: int | None = None) -> Any:
    """Return records that lie one behind the other as what kernels take: ``rows(...)[k].name``.

    With a number of ``groups``, all as large, they are ``rows(...)[group][k].name``.
    """
    shape = (numbers.size // kind.SIZE,) if groups is None else (groups, numbers.size // (kind.SIZE * max(1, groups)))
    if _compiled_by_now and not _is_off():
        return numbers.reshape(-1).view(np.ndarray).view(kind.dtype_of()).reshape(shape).view(numba_types.Rows)
    return numbers.reshape(*shape, kind.SIZE).view(kind)


def _is_off() -> bool:
    """Return whether numba hands out plain functions."""
    from numba.core import config

    return bool(config.DISABLE_JIT)  # type: ignore[attr-defined]


def clear(record: Any) -> None:
    """Set all numbers of a record to 0, in Python and in compiled code."""
    record[:] = 0.0


def assign(record: Any, other: Any) -> None:
    """Set numbers of a record to those of one of its kind, or of a kind that its own is derived from.

    In Python and in compiled code.
    """
    record[: len(other)] = other


def callback(rule: OwnRule | None) -> Any:
    """Return ``rule(state, parameters)`` as the argument that kernels take: None, the rule itself, or compiled.

    It is compiled to a C function of one fixed type, so that kernels which take it as an
    argument are compiled once for all rules, and their cache holds in the next process.

    Raises
    ------
    UsageError
        The rule uses something that cannot be compiled.
    """
    if rule is None or not _compiled_by_now:
        return rule
    if rule not in _callbacks:
        _callbacks[rule] = _compiled_callback(rule)
    return _callbacks[rule]


def _compiled_callback(rule: OwnRule) -> Any:
    import numba
    from numba.core.errors import NumbaError

    if _is_off():
        return rule
    kinds: Any = rule.given, rule.read
    given, read = ([numba_types.type_of(kind) for kind in both] for both in kinds)
    own_state, own_parameters = (_reading(kind) for kind in read)
    try:
        function = numba.njit(error_model="numpy")(_with_compiled_names(rule.function))
        function.compile(tuple(read))

        def renamed(state: Any, parameters: Any) -> Any:
            return function(own_state(state), own_parameters(parameters))

        return numba.cfunc(numba.types.int64(*given), error_model="numpy")(renamed)
    except (NumbaError, KeyError, AttributeError) as error:  # the latter two for a name that is not there
        raise UsageError(
            f"policy rule {rule.function.__name__}: cannot be compiled ({str(error).strip().splitlines()[0]}); "
            "use only numbers, fields of the two records, math, names of migkit.policies.decision and functions that "
            "do the same"
        ) from error


def _reading(kind: Any) -> Any:
    """Return a function for compiled code that reads the same numbers as a record of this type of numba."""
    from numba.extending import intrinsic

    @intrinsic
    def reading(context: Any, record: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(kind))

        return kind(record), generate

    return reading


def _with_compiled_names(function: Callable[..., Any], *around: Callable[..., Any]) -> Callable[..., Any]:
    """Return a user's function whose own helpers, and the kernels that it names, are compiled.

    A helper that is being compiled already, ``around`` this one, is left as it is: a name may also be that of an
    attribute.
    """
    import numba

    if not isinstance(function, types.FunctionType):
        return function
    names = dict(function.__globals__)
    for name in function.__code__.co_names:
        value = names.get(name)
        if isinstance(value, Kernel):
            names[name] = value.function
        elif _is_helper(value) and value not in (function, *around):
            names[name] = numba.njit(error_model="numpy")(_with_compiled_names(value, function, *around))
    return types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )


def _is_helper(value: object) -> TypeGuard[types.FunctionType]:
    return isinstance(value, types.FunctionType) and not value.__module__.startswith("numpy")


def _compiled(function: Callable[..., Any], *, counted: bool = True, inlined: bool = False) -> Callable[..., Any]:
    """Return numba's dispatcher of ``function``.

    * ``cache``: a second process starts without compiling, until the source of a kernel changes; of a user's helper
      there may be no file;
    * ``nogil``: chunks of one sweep run in a pool of threads;
    * ``error_model="numpy"``: x/0 is inf or nan as in numpy, and divisions vectorise;
    * ``_nrt`` off for kernels that create no arrays: no reference counts;
    * ``forceinline`` for small ones that are called in every turn;
    * no ``fastmath``: results equal those of the plain Python function bit for bit;
    * no ``parallel``: its threads do not survive a fork.

    ``NUMBA_DISABLE_JIT=1`` gives the plain function.
    """
    import numba

    from migkit.jit import freshness

    ours = function.__module__.startswith("migkit.")
    lean: dict[str, Any] = {} if counted else {"_nrt": False}
    if inlined:
        lean["forceinline"] = True
    dispatcher: Callable[..., Any] = numba.njit(cache=ours, nogil=True, error_model="numpy", **lean)(function)
    if ours:
        freshness.watch(dispatcher)
    return dispatcher


def _linked(function: F, *, result: str, arguments: tuple[str, ...]) -> Any:
    """Return the C library's function of that name for compiled code to call; it is looked up when that is loaded."""
    from numba import types

    if _is_off():
        return function
    signature = getattr(types, result)(*(getattr(types, argument) for argument in arguments))
    return types.ExternalFunction(function.__name__, signature)
