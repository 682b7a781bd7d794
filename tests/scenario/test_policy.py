"""Presets, settings, and policies of one's own."""

import dataclasses
import inspect
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, predict, presets, register_policy, simulate
from migkit.errors import UsageError
from migkit.policies import decision
from migkit.scenario import policy as registry
from migkit.scenario import rules
from migkit.scenario.form import schema
from migkit.scenario.policy import pack
from tests.conftest import TOP

MIB = 2**20
HALF = 0.5


def shrunk(limit_s):
    return limit_s * HALF


@register_policy("impatient", settings={"rounds": 3}, downtime_limit_s=0.2)
def impatient(state, parameters):
    """Switch over after some rounds, or under half the downtime limit."""
    action = decision.under_limit(state, parameters, shrunk(parameters.downtime_limit_s))
    if state.event == decision.SYNCED and state.iteration > parameters.settings.rounds:
        return decision.SWITCHOVER
    return action


@pytest.fixture(autouse=True)
def _forget_what_a_test_registers(monkeypatch):
    """``compare --policies all`` would meet it in whichever test comes next."""
    monkeypatch.setattr(registry, "_presets", dict(registry._presets))


def scenario(name="impatient", **changes):
    """A guest that never converges under QEMU's rule on this link."""
    dirty = (DirtyClass(region_bytes=16 * MIB, writes_per_s=50_000),)
    return Scenario(
        guest=Guest(memory_bytes=64 * MIB, dirty=dirty),
        link=Link(bandwidth_bytes_per_s=1e9),
        policy=Policy.named(name, max_bandwidth_bytes_per_s=2e7, time_limit_s=20.0, **changes),
    )


def test_every_preset_has_version_source_and_summary():
    for preset in presets():
        if preset.rule is None:
            assert preset.version
            assert preset.source
            assert preset.summary.endswith(".")


def test_presets_pack_their_settings_where_the_rules_read_them():
    nova = pack(Policy.named("nova", steps=4))
    assert nova.settings.nova.tolist()[:6] == [4.0, 75.0, 800.0, 0.0, 0.0, 0.5]
    assert (nova.settings.nova.steps, nova.settings.nova.poll_s) == (4.0, 0.5)
    assert nova.downtime_limit_s == 0.5
    assert nova.throttle_trigger == 0.5


def test_each_setting_of_a_preset_is_a_field_of_its_own():
    for preset in presets():
        for setting in preset.settings:
            known = decision.Parameters if setting.common else preset.own
            assert setting.name in known.names()
        assert len({setting.name for setting in preset.settings}) == len(preset.settings)
        assert preset.own.SIZE <= decision.Settings.SIZE


def test_what_a_rule_sets_and_remembers_has_names_that_can_be_read():
    with pytest.raises(UsageError, match="'two words' cannot be read as a field; use letters, digits and _"):
        register_policy("wrong", settings={"two words": 1.0})
    with pytest.raises(UsageError, match="'size' cannot be read as a field"):
        register_policy("wrong", memory=["size"])
    with pytest.raises(UsageError, match="33 numbers to remember; at most 32 fit"):
        register_policy("wrong", memory=[f"number_{at}" for at in range(33)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((("step", 1),), 'policy.settings.step: not a setting of nova; did you mean "steps"?'),
        (
            (("steps", 0),),
            "policy.settings.steps: 0 is not a number above 0, at most 1e+18",
        ),
        (
            (("poll_s", -1),),
            "policy.settings.poll_s: -1 is not a number above 0, at most 1e+18",
        ),
        (
            (("steps", math.nan),),
            "policy.settings.steps: nan is not a number above 0, at most 1e+18",
        ),
        ((("steps",),), "policy.settings: (('steps',),) is not pairs of name and number; write (('steps', 5),)"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UsageError) as caught:
        Policy(name="nova", settings=settings)
    assert str(caught.value).removesuffix("; give it in the unit that the name says") == message


def test_a_scenario_file_sets_settings():
    text = {"guest": {"memory": "1 GiB"}, "policy": {"name": "nova", "settings": {"steps": 5}}}
    read = schema.from_mapping(text)
    assert read.policy.setting("steps") == 5.0
    assert read.policy.downtime_limit_s == 0.5
    assert schema.from_record(json.loads(json.dumps(schema.to_record(read)))) == read


def test_a_rule_that_comes_with_migkit_cannot_be_replaced():
    with pytest.raises(UsageError, match="comes with migkit"):
        register_policy("qemu")
    with pytest.raises(UsageError, match="17 settings; at most 16 fit"):
        register_policy("many", settings={f"s{k}": 0.0 for k in range(17)})


def test_a_registered_rule_decides_predictions_and_simulations_alike():
    assert predict(scenario("qemu")).verdict == "timed_out"
    for rounds in (2, 4):
        case = scenario(rounds=rounds)
        predicted, simulated = predict(case), simulate(case, repeats=4)
        assert predicted.verdict == simulated.runs[0].verdict == "converges"
        assert predicted.iterations == simulated.runs[0].iterations == rounds + 2
        assert predicted.transferred_bytes == pytest.approx(simulated.mean("transferred_bytes"), rel=0.01)


@pytest.mark.parametrize(("ends", "verdict"), [(decision.SWITCHOVER, "converges"), (decision.ABORT, "aborted")])
def test_a_registered_rule_may_count_many_rounds_that_are_alike(ends, verdict):
    @register_policy("patient", settings={"rounds": 300, "ends": ends})
    def patient(state, parameters):
        decision.under_limit(state, parameters, 0.0)
        late = state.event == decision.SYNCED and state.iteration > parameters.settings.rounds
        return parameters.settings.ends if late else decision.CONTINUE

    result = predict(dataclasses.replace(scenario("patient"), policy=Policy.named("patient")), level=None)
    assert (result.verdict, result.iterations) == (verdict, 302 if ends == decision.SWITCHOVER else 301)


@pytest.mark.parametrize("name", ["xen", "xen-4.5", "hyperv-like"])
def test_a_rule_that_counts_passes_counts_many(name):
    changes = {"factor": 1e9} if name == "xen-4.5" else {}
    rule = Policy.named(name, max_bandwidth_bytes_per_s=2e7, passes=200, **changes)
    case = dataclasses.replace(scenario(), policy=rule)
    assert predict(case, level=None).iterations == 201


def test_a_registered_rule_works_before_anything_is_compiled():
    code = """
from migkit import Guest, Policy, Scenario, predict, register_policy
from migkit.policies import decision as policy

@register_policy("now")
def now(state, parameters):
    return policy.SWITCHOVER

scenario = Scenario(guest=Guest(memory_bytes=2**26), policy=Policy(name="now"))
import sys
print(predict(scenario).iterations, "numba" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["2", "False"]


def test_a_rule_that_cannot_be_compiled_is_refused_by_name():
    @register_policy("reads-a-file")
    def reads_a_file(state, parameters):
        return len(open("x").read())  # noqa: PTH123

    with pytest.raises(UsageError, match="policy rule reads_a_file: cannot be compiled"):
        simulate(scenario("reads-a-file"))


def test_a_registered_rule_is_taken_to_another_process():
    message = json.dumps(rules.to_message(scenario(rounds=7).policy))
    code = f"""
import json
from migkit.policies import decision as policy
from migkit.jit import callback, compile_kernels
from migkit.scenario import rules
from migkit.scenario import Policy
from migkit.scenario.policy import pack
rules.recall(json.loads({message!r}))
rule = Policy.named("impatient")
compile_kernels()
state, parameters = policy.new_state(), pack(rule)
state.event, state.iteration = policy.SYNCED, 4
state.remaining_bytes = 1e9
print(policy.decide(state, parameters, callback(rule.decider)), state.downtime_limit_s, rule.setting("rounds"))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == [str(decision.SWITCHOVER), "0.1", "3.0"]


RULE = """
from migkit import register_policy
from migkit.policies import decision as policy
from migkit.scenario import Policy
from migkit.scenario import rules
SHARE = 0.5

def half(limit_s: float) -> float:
    return limit_s * SHARE

@register_policy("mine", settings={"rounds": 3})
def mine(state: "an array", parameters):
    return policy.under_limit(state, parameters, half(parameters.downtime_limit_s))
"""
TAKEN = """
import json, subprocess, sys
message = json.dumps(rules.to_message(Policy.named("mine")))
code = f'''
import json
from migkit.policies import decision as policy
from migkit.scenario import rules
from migkit.scenario import Policy
from migkit.scenario.policy import pack
rules.recall(json.loads({message!r}))
rule = Policy.named("mine")
state = policy.new_state()
state.remaining_bytes = 1e9
policy.decide(state, pack(rule), rule.decider)
print(state.downtime_limit_s)
'''
command = [sys.executable, "-P", "-c", code]
print('"source"' in message, subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout)
"""


def python(*arguments, folder):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )


def test_a_rule_of_a_script_travels_as_its_text(tmp_path):
    (tmp_path / "script.py").write_text(RULE + TAKEN)
    assert python("script.py", folder=tmp_path).stdout.split() == ["True", "0.15"]


def test_a_rule_of_a_module_beside_a_script_travels_by_name(tmp_path):
    (tmp_path / "own.py").write_text(RULE)
    (tmp_path / "script.py").write_text("import own\nfrom migkit.scenario import Policy, rules\n" + TAKEN)
    assert python("script.py", folder=tmp_path).stdout.split() == ["False", "0.15"]


def test_a_rule_of_a_notebook_travels_as_its_text(tmp_path):
    code = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in ({RULE!r}, {TAKEN!r}):
    shell.run_cell(cell).raise_error()
"""
    done = python("-c", code, folder=tmp_path)
    assert done.stdout.split() == ["True", "0.15"], done.stderr


def test_a_rule_without_its_text_is_refused(tmp_path):
    done = python("-c", f"exec({RULE + TAKEN!r})", folder=tmp_path)
    assert "the text of mine cannot be had here; put the rule into a module and import it" in done.stderr


def test_a_rule_whose_text_was_changed_since_is_refused(tmp_path):
    (tmp_path / "other.py").write_text(RULE + TAKEN)
    swap = "import os; os.replace('other.py', 'script.py')"
    (tmp_path / "script.py").write_text(
        RULE.replace("    return policy", "    0 / 1 + state[0]\n    return policy") + swap + TAKEN
    )
    assert "is not what runs; load it again" in python("script.py", folder=tmp_path).stderr


def test_no_byte_code_travels():
    message = json.dumps(rules.to_message(scenario(rounds=7).policy))
    assert json.loads(message)["function"] == {
        "module": __name__,
        "attribute": "impatient",
        "file": __file__,
    }


def test_a_rule_that_cannot_be_taken_along_is_refused():
    table = [1.0]

    @register_policy("closure")
    def closure(state, parameters):
        return int(table[0])

    with pytest.raises(UsageError, match="not a plain function"):
        rules.to_message(Policy.named("closure"))


def test_compiled_and_plain_decisions_are_equal():
    """Every policy, fed the same random readings in a plain and in a compiled process, decides the same."""
    code = """
import sys
import numpy as np
from migkit import Policy, Strategy, presets
from migkit.policies import decision as policy
from migkit.jit import compile_kernels
from migkit.scenario.policy import pack

if sys.argv[1] == "compiled":
    compile_kernels()
rng = np.random.default_rng(3)
for preset in presets():
    for strategy in (Strategy(), Strategy(auto_converge=True), Strategy(dirty_limit_bytes_per_s=1e7)):
        parameters, state = pack(Policy.named(preset.name), strategy), policy.new_state()
        state.guest_bytes = 2**31
        actions = []
        for step in range(300):
            state.now_s += rng.exponential(1.0)
            state.event = rng.integers(3)
            state.iteration += state.event == policy.SYNCED
            state.remaining_bytes = rng.uniform(0, 1e9)
            state.bandwidth_bytes_per_s = rng.uniform(1e7, 1e9)
            state.sent_bytes += rng.uniform(0, 1e8)
            state.dirtied_pages = rng.integers(1, 30000)
            state.dirty_pages_per_s = rng.uniform(1e3, 1e5)
            actions.append(int(policy.decide(state, parameters, None)))
        print(preset.name, actions, [x.hex() for x in state.tolist()])
"""
    plain, compiled = (
        subprocess.run([sys.executable, "-c", code, mode], capture_output=True, text=True, check=True).stdout
        for mode in ("plain", "compiled")
    )
    assert plain == compiled
    assert plain.count("\n") == 3 * len([preset for preset in presets() if preset.rule is None])


def test_a_default_follows_the_name_and_what_was_given_stays():
    nova = dataclasses.replace(Policy(), name="nova")
    assert nova == Policy(name="nova")
    assert dataclasses.replace(nova, name="ovirt", downtime_limit_s=0.2) == Policy(name="ovirt", downtime_limit_s=0.2)
    given = dataclasses.replace(Policy(max_bandwidth_bytes_per_s=128.0 * MIB), name="nova")
    assert given.max_bandwidth_bytes_per_s == 128.0 * MIB
    assert "inf" not in str(inspect.signature(Policy)).partition("max_postcopy")[0]


def test_packing_gives_a_fresh_record():
    one, two = pack(Policy()), pack(Policy())
    one.policy = 5.0
    assert isinstance(one, np.ndarray)
    assert two.policy == decision.QEMU
