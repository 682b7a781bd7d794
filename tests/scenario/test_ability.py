"""What each system can do, and what a scenario asks of one that cannot."""

import dataclasses
import re

import pytest

from migkit import Guest, Host, Link, Policy, Scenario, Strategy, compare, predict, register_policy
from migkit.errors import UsageError
from migkit.models.goodput import path
from migkit.policies.built_in import BUILT_IN
from migkit.policies.systems import ABILITIES, SYSTEMS
from migkit.scenario import policy as registry
from migkit.scenario.ability import missing, within

GUEST = Guest(memory_bytes=2**30)
ASKS = {
    "postcopy": Strategy(name="postcopy"),
    "auto_converge": Strategy(auto_converge=True),
    "dirty_limit": Strategy(dirty_limit_bytes_per_s=1e8),
    "tls": Strategy(tls=True),
    "xbzrle": Strategy(xbzrle=True),
    "compression": Strategy(compression="zstd"),
    "streams": Strategy(streams=4),
    "storage": Strategy(storage_bytes=2**30),
}
HAVE_NO_POSTCOPY = (
    *("xen", "xen-4.5", "cloud-hypervisor", "cloud-hypervisor-51", "proxmox", "incus"),
    *("criu-phaul", "criu-go-phaul", "vmware-like", "hyperv-like"),
)


def test_every_policy_has_a_system_with_a_public_source():
    assert {preset.name for preset in BUILT_IN} == SYSTEMS.keys()
    for system in SYSTEMS.values():
        assert re.match(r"https://[^ ]+", system.source)
    assert len({system.name for system in SYSTEMS.values()}) == len(SYSTEMS)


@pytest.mark.parametrize("preset", BUILT_IN, ids=lambda preset: preset.name)
@pytest.mark.parametrize("ability", ASKS)
def test_what_a_system_has_not_is_missing_and_nothing_else(preset, ability):
    case = Scenario(guest=GUEST, policy=Policy(name=preset.name), strategy=ASKS[ability])
    assert (missing(case) == ()) == getattr(preset.system, ability).has
    possible = within(case.strategy, preset.system)
    if possible is None:
        assert ability == "postcopy"
    else:
        assert missing(dataclasses.replace(case, strategy=possible)) == ()


def test_no_post_copy_where_there_is_none():
    assert {preset.name for preset in BUILT_IN if not preset.system.postcopy.has} == set(HAVE_NO_POSTCOPY)


def test_a_method_that_a_system_has_not_is_missing():
    lz4 = Scenario(guest=GUEST, policy=Policy(name="libvirt"), strategy=Strategy(compression="lz4"))
    assert [one.key for one in missing(lz4)] == ["strategy.compression"]
    assert "cannot do this: lz4" in missing(lz4)[0].sentence


def test_post_copy_beside_streams_needs_qemu_10_1():
    both = Strategy(name="hybrid", streams=4)
    for name, keys in (("qemu-8.2", ["strategy.streams"]), ("qemu-11.1", [])):
        assert [one.key for one in missing(Scenario(guest=GUEST, policy=Policy(name=name), strategy=both))] == keys


def test_a_policy_of_ones_own_may_do_all(monkeypatch):
    monkeypatch.setattr(registry, "_presets", dict(registry._presets))

    @register_policy("able")
    def able(state, parameters):
        return 2

    for strategy in ASKS.values():
        assert missing(Scenario(guest=GUEST, policy=Policy(name="able"), strategy=strategy)) == ()
    assert set(ASKS) | {"postcopy_streams"} == set(ABILITIES)


def test_a_comparison_keeps_to_what_each_system_can_do():
    found = compare(GUEST, policies=[preset.name for preset in BUILT_IN], strategies="all", level=None)
    assert {rule for rule, manner in found if manner == "postcopy"}.isdisjoint(HAVE_NO_POSTCOPY)
    assert {rule for rule, _ in found} >= set(HAVE_NO_POSTCOPY)
    with pytest.raises(UsageError, match="xen can do none of postcopy, hybrid"):
        compare(GUEST, policies=["xen"], strategies=["postcopy", "hybrid"])


def test_a_comparison_leaves_out_what_a_system_has_not_and_says_so():
    slow = Host(goodput_bytes_per_s=1e8)
    found = compare(
        GUEST, host=slow, strategy=Strategy(streams=4), policies=["libvirt", "nova"], strategies="precopy"
    )
    assert found["nova", "precopy"].total_time_s > 3.5 * found["libvirt", "precopy"].total_time_s
    assert found["nova", "precopy"].reasons[-1] == (
        "left out, since Nova before 2026.1 has it not: strategy.streams."
    )
    assert (
        found["libvirt", "precopy"].reasons
        == predict(GUEST, host=slow, policy=Policy(name="libvirt"), strategy=Strategy(streams=4)).reasons
    )


def test_proxmox_sends_through_a_tunnel_unless_told_otherwise():
    link = Link(bandwidth_bytes_per_s=1.25e9)
    host = Host(goodput_bytes_per_s=1.5e9, tls_bytes_per_s=5e8)
    speeds = [
        path(Scenario(guest=GUEST, link=link, host=host, policy=policy))
        for policy in (Policy(name="proxmox"), Policy.named("proxmox", secure=0), Policy(name="libvirt"))
    ]
    assert speeds == [5e8, 1.25e9, 1.25e9]
