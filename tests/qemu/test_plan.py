"""What a scenario asks of QEMU, and what a version lacks."""

import pytest

from migkit.errors import UsageError
from migkit.qemu.capture import Options, capture
from migkit.qemu.monitor import LackingError
from migkit.qemu.plan import plan
from migkit.qemu.versions import Interface, interface_of
from migkit.scenario import Guest, Policy, Scenario, Strategy
from migkit.units import MIB

NOTHING = Interface(
    commands=frozenset(), capabilities=frozenset(), parameters=frozenset(["max-bandwidth"]), fields=frozenset()
)


def scenario(strategy=None, policy=None):
    return Scenario(guest=Guest(memory_bytes=64 * MIB), strategy=strategy or Strategy(), policy=policy or Policy())


@pytest.mark.parametrize(
    ("strategy", "capabilities"),
    [
        (Strategy(), {"events"}),
        (Strategy(name="stopcopy"), {"events"}),
        (Strategy(name="hybrid"), {"events", "postcopy-ram", "postcopy-preempt"}),
        (Strategy(name="postcopy", preempt=False), {"events", "postcopy-ram"}),
        (Strategy(auto_converge=True), {"events", "auto-converge"}),
        (Strategy(dirty_limit_bytes_per_s=1e7), {"events", "dirty-limit"}),
        (Strategy(xbzrle=True), {"events", "xbzrle"}),
        (Strategy(streams=4), {"events", "multifd"}),
        (Strategy(compression="zstd"), {"events", "multifd"}),
        (Strategy(tls=True), {"events"}),
    ],
)
def test_a_strategy_asks_for_its_capabilities(strategy, capabilities):
    assert set(plan(scenario(strategy)).capabilities) == capabilities


def test_limits_and_settings_go_under_the_names_of_qemu():
    policy = Policy.named("qemu", max_bandwidth_bytes_per_s=1e8, downtime_limit_s=0.25, throttle_initial=0.4)
    found = plan(scenario(Strategy(auto_converge=True), policy)).parameters
    assert (found["max-bandwidth"], found["downtime-limit"], found["cpu-throttle-initial"]) == (10**8, 250, 40)


def test_only_what_both_sides_must_know_goes_to_the_destination():
    asked = plan(scenario(Strategy(streams=3, compression="zlib", tls=True)))
    assert asked.at_destination() == {"multifd-channels": 3, "multifd-compression": "zlib", "tls-creds": "tls"}


def test_the_switchover_bandwidth_is_asked_for_when_it_is_set():
    policy = Policy.named("qemu", switchover_bandwidth_bytes_per_s=5e8)
    assert plan(scenario(policy=policy)).parameters["avail-switchover-bandwidth"] == 5 * 10**8
    assert "avail-switchover-bandwidth" not in plan(scenario()).parameters


@pytest.mark.parametrize(
    ("strategy", "policy", "message"),
    [
        (Strategy(), Policy(name="nova"), 'policy.name: QEMU does not follow "nova"'),
        (
            Strategy(compression="lz4"),
            Policy(),
            'strategy.compression: QEMU has no "lz4"; use one of none, zlib, zstd',
        ),
        (Strategy(storage_bytes=4096), Policy(), "strategy.storage: 4,096 was given, but disks are not captured"),
        (Strategy(prefetch_pages=7), Policy(), "strategy.prefetch_pages: 7 was given"),
        (Strategy(), Policy(max_bandwidth_bytes_per_s=9.0), "policy.max_bandwidth: 72 bit/s is no cap to QEMU"),
    ],
)
def test_what_qemu_does_not_do_is_refused(strategy, policy, message):
    with pytest.raises(UsageError) as error:
        plan(scenario(strategy, policy))
    assert str(error.value).startswith(message)


def test_what_a_version_lacks_is_named():
    with pytest.raises(LackingError, match=r"QEMU 1\.0\.0: has no events and no downtime-limit"):
        plan(scenario()).check(NOTHING, "1.0.0")


def test_an_interface_is_read_from_a_schema():
    found = interface_of(
        [
            {"name": "query-migrate", "meta-type": "command", "ret-type": "1"},
            {"name": "1", "meta-type": "object", "members": [{"name": "status", "type": "2"}]},
            {"name": "2", "meta-type": "enum", "values": ["completed", "postcopy-device"]},
            {"name": "migrate-set-capabilities", "meta-type": "command", "arg-type": "3"},
            {"name": "3", "meta-type": "object", "members": [{"name": "capabilities", "type": "[4]"}]},
            {"name": "[4]", "meta-type": "array", "element-type": "4"},
            {"name": "4", "meta-type": "object", "members": [{"name": "capability", "type": "5"}]},
            {"name": "5", "meta-type": "enum", "values": ["xbzrle"]},
        ]
    )
    assert found.capabilities == {"xbzrle"}
    assert "status.postcopy-device" in found.fields
    assert "status.postcopy-device" not in found.lacks()["fields"]
    assert "multifd" in found.lacks()["capabilities"]


@pytest.mark.parametrize("sample_s", [0.0, 0.06, -1.0])
def test_the_source_is_asked_at_least_every_50_ms(sample_s):
    with pytest.raises(UsageError, match=r"sample_s: .* is out of range"):
        capture(scenario(), Options(sample_s=sample_s))
