"""The engine where a browser runs Python: none of what has no build for it can be imported."""

import json
import os
import subprocess
import sys

import pytest

from migkit import jit

ABSENT = ("numba", "llvmlite", "pandas", "psutil", "pyarrow", "cryptography", "filelock")
BLOCK = f"""
import importlib.abc, json, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
CASES = """
from migkit import Guest, Policy, Scenario, Strategy, Targets, predict, register_policy, simulate, size, tradeoffs
from migkit.policies import decision

@register_policy("half", settings={"share": 0.5})
def half(state, parameters):
    return decision.under_limit(state, parameters, parameters.settings.share * parameters.downtime_limit_s)

small = Guest.parse(memory="64 MiB", dirty=[{"region": "8 MiB", "writes_per_s": 900}])
large = Guest.parse(memory="16 GiB", zero="1 GiB", dirty=[
    {"region": "1 GiB", "writes_per_s": 30_000}, {"region": "256 MiB", "writes_per_s": 2_000, "kind": "sweep"}])

def told(result):
    ends = result.interval.total_time_s if result.interval else ()
    numbers = [result.total_time_s, result.downtime_s, result.transferred_bytes, result.blocktime_s, *ends]
    return [result.verdict, *(float(number).hex() for number in numbers)]

answers = {}
for guest in (small, large):
    for rule in ("qemu", "xen", "kubevirt", "criu-phaul", "half"):
        for manner in ("precopy", "stopcopy", "postcopy", "hybrid"):
            try:
                result = predict(guest=guest, policy=Policy.named(rule), strategy=Strategy(name=manner))
            except Exception as error:
                answers[f"{guest.memory_bytes} {rule} {manner}"] = str(error)
            else:
                answers[f"{guest.memory_bytes} {rule} {manner}"] = told(result)
sized = size(Scenario(guest=large), targets=Targets(total_time_s=60.0))
answers["size"] = [float(sized.value).hex(), sized.text]
answers["tradeoffs"] = repr(tradeoffs(Scenario(guest=small)))
run = simulate(guest=small, seed=1).runs[0]
answers["simulate"] = [float(run.total_time_s).hex(), float(run.transferred_bytes).hex()]
"""
END = """
from migkit import jit
print(json.dumps([jit.are_compiled(), sorted({"numba", "pandas", "pyarrow"} & set(sys.modules)), answers]))
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    script = tmp_path_factory.mktemp("browser") / "browser.py"
    script.write_text(BLOCK + CASES + END)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=dict(os.environ), timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_predicts_sizes_and_simulates_without_what_browsers_lack(plain):
    compiled, loaded, answers = plain
    assert (compiled, loaded) == (False, [])
    assert len(answers) == 43
    assert answers["17179869184 qemu precopy"][0] == "converges"
    assert answers["17179869184 half precopy"][0] == "converges"


def test_its_answers_are_those_of_the_compiled_engine_bit_for_bit(plain, tmp_path):
    jit.compile_kernels()
    script = tmp_path / "rules.py"  # a rule is compiled from the file that it stands in
    script.write_text(CASES)
    names = {"__file__": str(script)}
    exec(compile(script.read_text(), script, "exec"), names)
    assert json.loads(json.dumps(names["answers"])) == plain[2]
