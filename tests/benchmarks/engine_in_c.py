"""The engine's algorithm in C: ``engine.c``, built over the records as they are declared."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from migkit.engine.packing import Packed
from migkit.engine.records import SETTLED, PackedClass, PackedScenario, Result
from migkit.policies import record
from tests.conftest import require

FLAGS = (
    "-O3",
    "-march=native",
    "-ffp-contract=off",  # numba fuses no products with sums either: the bits are the same
    "-fno-math-errno",  # numba heeds neither
    "-fno-trapping-math",
    "-fno-tree-slp-vectorize",  # records that were written in parts would be read as a whole: 8 % slower
    "-fno-if-conversion",  # min and max as branches, which a processor foretells: 8 % faster
    "-shared",
    "-fPIC",
)

Many = Callable[[Packed, np.ndarray], None]


def build(folder: Path, compiler: str = "gcc", *flags: str) -> Many:
    """Return ``many(packed, results)`` as :func:`migkit.engine.batch.migrate_many`, in C."""
    require(shutil.which(compiler), f"no {compiler}; apt-get install {compiler}")
    (folder / "records.h").write_text(header())
    library = folder / "engine.so"
    source = Path(__file__).with_name("engine.c")
    subprocess.run([compiler, *FLAGS, *flags, f"-I{folder}", source, "-o", library, "-lm"], check=True)
    function = ctypes.CDLL(str(library)).many
    array = np.ctypeslib.ndpointer(np.float64, flags="C")
    function.argtypes = [array, array, ctypes.c_long, ctypes.c_long, array, array]
    function.restype = None

    def many(packed: Packed, results: np.ndarray) -> None:
        number = packed.scenario.shape[1]
        rows = packed.classes.size // (number * PackedClass.SIZE)
        function(packed.scenario.T, packed.classes, rows, number, packed.parameters, results)

    return many


def header() -> str:
    """Return records.h: the records as structures, and the numbers that events and actions have.

    Examples
    --------
    >>> "double now_s;" in header()
    False
    >>> "double downtime_s;" in header()
    True
    """
    numbers = {name: value for name, value in vars(record).items() if name.isupper() and isinstance(value, int)}
    lines = [f"#define {name} {value}" for name, value in (numbers | {"SETTLED": SETTLED}).items()]
    for kind in (PackedScenario, PackedClass, record.Parameters, Result):
        fields = (f.name if f.kind is float and not f.count else f"{f.name}[{f.size}]" for f in kind.FIELDS)
        lines += ["typedef struct {", *(f"    double {field};" for field in fields), f"}} {kind.__name__};"]
    return "\n".join(lines) + "\n"
