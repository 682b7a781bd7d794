"""Compile the kernels that most tests run into the cache of numba: ``python -m tests.kernels``.

A cache in the folder ``common`` is where that of each new worker begins (:mod:`tests.conftest`).
"""

import pandas as pd

from migkit import Guest, Policy, Scenario, predict, predict_many, register_policy, simulate
from migkit.harness.runs.warm import warm_up
from migkit.models.warm import compile_now, compile_simulator
from migkit.planning.drain import drain
from migkit.planning.rehearsal import rehearse
from migkit.policies import decision
from tests.planning.fleets import small

__all__ = ["compile_all"]


@register_policy("own")
def _own(state, parameters):
    return decision.under_limit(state, parameters, parameters.downtime_limit_s)


def compile_all():
    """Run each engine, also with a rule of one's own, a batch, the harness on a few pages, a plan and a rehearsal."""
    compile_now()
    compile_simulator()
    warm_up()
    predict_many(pd.DataFrame({"memory_bytes": [2**30]}))
    own = Scenario(guest=Guest(memory_bytes=2**24), policy=Policy(name="own"))
    predict(own)
    predict_many(pd.DataFrame({"memory_bytes": [2**30]}), own)
    simulate(own)
    inventory = small([{"vm": name, "host": "a", "memory": "8 GiB"} for name in ("db", "web")])
    drain(inventory, ["a"])
    rehearse(inventory, ["a"], manager="nova", draws=17)


if __name__ == "__main__":
    compile_all()
