"""Presets, settings, and policies of one's own."""

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, predict, presets, register_policy, simulate
from migkit.errors import UsageError
from migkit.kernels import policy
from migkit.scenario import policy as registry
from migkit.scenario import rules, schema
from migkit.scenario.policy import pack

MIB = 2**20
HALF = 0.5


def shrunk(limit_s):
    return limit_s * HALF


@register_policy("impatient", settings={"rounds": 3}, downtime_limit_s=0.2)
def impatient(state, parameters):
    """Switch over after some rounds, or under half the downtime limit."""
    action = policy.under_limit(state, parameters, shrunk(parameters[policy.LIMIT_S]))
    if state[policy.EVENT] == policy.SYNCED and state[policy.ITERATION] > parameters[policy.SETTINGS]:
        return policy.SWITCHOVER
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
    assert nova[policy.SETTINGS : policy.SETTINGS + 6].tolist() == [4.0, 75.0, 800.0, 0.0, 0.0, 0.5]
    assert nova[policy.LIMIT_S] == 0.5
    assert nova[policy.THROTTLE_TRIGGER] == 0.5


def test_no_two_settings_of_a_preset_share_a_slot():
    for preset in presets():
        slots = [setting.slot for setting in preset.settings]
        assert len(set(slots)) == len(slots)
        assert all(0 <= slot < policy.PARAMETER_SLOTS for slot in slots)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((("step", 1),), 'policy.settings.step: not a setting of nova; did you mean "steps"?'),
        ((("steps", 0),), "policy.settings.steps: 0 is not a number above 0; give it in the unit that the name says"),
        (
            (("poll_s", -1),),
            "policy.settings.poll_s: -1 is not a number above 0; give it in the unit that the name says",
        ),
        (
            (("steps", math.nan),),
            "policy.settings.steps: nan is not a number above 0; give it in the unit that the name says",
        ),
        ((("steps",),), "policy.settings: (('steps',),) is not pairs of name and number; write (('steps', 5),)"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UsageError) as caught:
        Policy(name="nova", settings=settings)
    assert str(caught.value) == message


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


@pytest.mark.parametrize(("ends", "verdict"), [(policy.SWITCHOVER, "converges"), (policy.ABORT, "aborted")])
def test_a_registered_rule_may_count_many_rounds_that_are_alike(ends, verdict):
    @register_policy("patient", settings={"rounds": 300})
    def patient(state, parameters):
        policy.under_limit(state, parameters, 0.0)
        late = state[policy.EVENT] == policy.SYNCED and state[policy.ITERATION] > parameters[policy.SETTINGS]
        return parameters[policy.SETTINGS + 1] if late else policy.CONTINUE

    register_policy("patient", settings={"rounds": 300, "ends": ends})(patient)
    result = predict(dataclasses.replace(scenario("patient"), policy=Policy.named("patient")), level=None)
    assert (result.verdict, result.iterations) == (verdict, 302 if ends == policy.SWITCHOVER else 301)


@pytest.mark.parametrize("name", ["xen", "xen-4.5", "hyperv-like"])
def test_a_rule_that_counts_passes_counts_many(name):
    changes = {"factor": 1e9} if name == "xen-4.5" else {}
    rule = Policy.named(name, max_bandwidth_bytes_per_s=2e7, passes=200, **changes)
    case = dataclasses.replace(scenario(), policy=rule)
    assert predict(case, level=None).iterations == 201


def test_a_registered_rule_works_before_anything_is_compiled():
    code = """
from migkit import Guest, Policy, Scenario, predict, register_policy
from migkit.kernels import policy

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
from migkit.kernels import policy
from migkit.kernels._jit import callback, compile_kernels
from migkit.scenario import rules, Policy
from migkit.scenario.policy import pack
rules.recall(json.loads({message!r}))
rule = Policy.named("impatient")
compile_kernels()
state, parameters = policy.new_state(), pack(rule)
state[policy.EVENT], state[policy.ITERATION] = policy.SYNCED, 4
state[policy.REMAINING_BYTES] = 1e9
print(policy.decide(state, parameters, callback(rule.rule)), state[policy.DOWNTIME_LIMIT_S], rule.setting("rounds"))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == [str(policy.SWITCHOVER), "0.1", "3.0"]


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
from migkit.kernels import policy
from migkit.kernels._jit import compile_kernels
from migkit.scenario.policy import pack

if sys.argv[1] == "compiled":
    compile_kernels()
rng = np.random.default_rng(3)
for preset in presets():
    for strategy in (Strategy(), Strategy(auto_converge=True), Strategy(dirty_limit_bytes_per_s=1e7)):
        parameters, state = pack(Policy.named(preset.name), strategy), policy.new_state()
        state[policy.GUEST_BYTES] = 2**31
        actions = []
        for step in range(300):
            state[policy.NOW_S] += rng.exponential(1.0)
            state[policy.EVENT] = rng.integers(3)
            state[policy.ITERATION] += state[policy.EVENT] == policy.SYNCED
            state[policy.REMAINING_BYTES] = rng.uniform(0, 1e9)
            state[policy.BANDWIDTH] = rng.uniform(1e7, 1e9)
            state[policy.SENT_BYTES] += rng.uniform(0, 1e8)
            state[policy.DIRTIED_PAGES] = rng.integers(1, 30000)
            state[policy.DIRTY_RATE] = rng.uniform(1e3, 1e5)
            actions.append(int(policy.decide(state, parameters, None)))
        print(preset.name, actions, [x.hex() for x in state.tolist()])
"""
    plain, compiled = (
        subprocess.run([sys.executable, "-c", code, mode], capture_output=True, text=True, check=True).stdout
        for mode in ("plain", "compiled")
    )
    assert plain == compiled
    assert plain.count("\n") == 3 * len([preset for preset in presets() if preset.rule is None])


def test_packing_gives_a_fresh_record():
    one, two = pack(Policy()), pack(Policy())
    one[0] = 5.0
    assert isinstance(one, np.ndarray)
    assert two[0] == policy.QEMU
