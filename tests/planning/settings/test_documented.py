"""The unit, bounds and default of each option that advice writes, as the product's documentation has them.

Numbers stand here as the documentation prints them, apart from the declarations that they are compared with.
"""

import math

import pytest

from migkit.planning.settings.catalogue import PRODUCTS

MIB = 2.0**20
DOCUMENTED = [
    # product, option, one written unit in B/s, s or 1, least and most that is taken, default in that unit
    ("nova", "live_migration_bandwidth", MIB, 0, math.inf, math.inf),
    ("nova", "live_migration_downtime", 1e-3, 100, math.inf, 500),
    ("nova", "live_migration_downtime_steps", 1, 3, math.inf, 10),
    ("nova", "live_migration_downtime_delay", 1, 3, math.inf, 75),
    ("nova", "live_migration_completion_timeout", 1, 0, math.inf, 800),
    ("nova", "max_concurrent_live_migrations", 1, 0, math.inf, 1),
    ("nova", "migration_max_retries", 1, 1, math.inf, 180),
    ("nova", "migration_interval", 1, 0.1, math.inf, 5),
    ("nova", "parallel_total", 1, 0, math.inf, 6),
    ("nova", "parallel_per_node", 1, 0, math.inf, 2),
    ("nova", "parallel_per_pool", 1, 0, math.inf, 2),
    ("kubevirt", "bandwidthPerMigration", 1, 0, math.inf, math.inf),
    ("kubevirt", "completionTimeoutPerGiB", 1, 0, math.inf, 150),
    ("kubevirt", "parallelMigrationsPerCluster", 1, 1, math.inf, 5),
    ("kubevirt", "parallelOutboundMigrationsPerNode", 1, 1, math.inf, 2),
    ("kubevirt", "progressTimeout", 1, 0, math.inf, 150),
    ("kubevirt", "maxDowntimeMs", 1e-3, 1, 2_000_000, 900),
    ("openshift", "completionTimeoutPerGiB", 1, 0, math.inf, 20),
    ("openshift", "parallelMigrationsPerCluster", 1, 1, math.inf, 5),
    ("openshift", "parallelOutboundMigrationsPerNode", 1, 1, math.inf, 1),
    ("openshift", "progressTimeout", 1, 0, math.inf, 150),
    ("proxmox", "migration", 1024, 0, math.inf, math.inf),
    ("proxmox", "migrate_speed", MIB, 0, math.inf, math.inf),
    ("proxmox", "migrate_downtime", 1, 0, 2000, 0.1),
    ("ovirt", "migration_max_bandwidth", MIB, 0, math.inf, 52),
    ("ovirt", "migration_downtime", 1e-3, 100, math.inf, 500),
    ("ovirt", "migration_downtime_steps", 1, 1, math.inf, 5),
    ("ovirt", "max_outgoing_migrations", 1, 1, math.inf, 2),
    ("ovirt", "migration_monitor_interval", 1, 1, math.inf, 10),
    ("libvirt", "bandwidth", MIB, 1, math.inf, math.inf),
    ("libvirt", "downtime", 1e-3, 0, 2_000_000, 300),
    ("libvirt", "parallel-connections", 1, 1, 255, 1),
    ("libvirt", "comp-zstd-level", 1, 0, 20, 1),
    ("libvirt", "migration_port_min", 1, 1, 65_535, 49_152),
    ("libvirt", "migration_port_max", 1, 1, 65_535, 49_215),
    ("qemu", "max-bandwidth", 1, 0, 2.0**64, 128 * MIB),
    ("qemu", "downtime-limit", 1e-3, 0, 2_000_000, 300),
    ("qemu", "multifd-channels", 1, 1, 255, 2),
    ("qemu", "throttle-trigger-threshold", 0.01, 1, 100, 50),
    ("qemu", "cpu-throttle-initial", 0.01, 1, 99, 20),
    ("qemu", "cpu-throttle-increment", 0.01, 1, 99, 10),
    ("qemu", "max-cpu-throttle", 0.01, 1, 99, 99),
    ("qemu", "multifd-zstd-level", 1, 0, 20, 1),
    ("qemu", "x-vcpu-dirty-limit-period", 1e-3, 1, 1000, 1000),
]


def plain(number):
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.12g}"


@pytest.mark.parametrize(("product", "name", "one", "low", "high", "default"), DOCUMENTED)
def test_an_option_is_declared_as_it_is_documented(product, name, one, low, high, default):
    option = PRODUCTS[product].option(name)
    assert option.unit.factor == pytest.approx(one)
    assert option.outside(plain(low)) == ""
    assert option.outside(plain(low - 1)) != ""
    if math.isfinite(high):
        assert option.outside(plain(high)) == ""
        assert option.outside(f"{high * 1.01 + 1:.0f}") != ""
    assert PRODUCTS[product].defaults()[name] == pytest.approx(default * one)
    assert option.source.startswith("https://")


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [
        ("64Mi", 64 * MIB),
        ("1Gi", 2.0**30),
        ("1G", 1e9),
        ("500M", 5e8),
        ("0", math.inf),
        ("1e9", 1e9),
        ("2.5Gi", 2.5 * 2**30),
    ],
)
def test_a_quantity_is_read_as_kubernetes_does(text, bytes_per_s):
    assert PRODUCTS["kubevirt"].option("bandwidthPerMigration").read(text) == bytes_per_s


def test_kubevirt_hands_whole_mebibytes_to_libvirt():
    """QuantityToMebiByte (converter/vcpu/vcpu.go): to the nearest, and at least 1."""
    from migkit import Guest, Scenario

    product, case = PRODUCTS["kubevirt"], Scenario(guest=Guest(memory_bytes=2**30))
    for text, mebibytes in (("64", 1), ("1500Ki", 1), ("1600Ki", 2), ("100M", 95), ("64Mi", 64)):
        read = product.option("bandwidthPerMigration").read(text)
        made = product.scenario({**product.defaults(), "rule": "kubevirt", "bandwidthPerMigration": read}, case)
        assert made.policy.max_bandwidth_bytes_per_s == mebibytes * MIB


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_defaults_of_a_product_make_its_documented_policy(name):
    """Settings that say nothing leave the limit of the named policy."""
    from migkit import Guest, Policy, Scenario

    product = PRODUCTS[name]
    made = product.scenario(product.defaults(), Scenario(guest=Guest(memory_bytes=2**30))).policy
    plain = Policy(name=made.name)
    assert made.downtime_limit_s == plain.downtime_limit_s
    assert made.max_bandwidth_bytes_per_s == plain.max_bandwidth_bytes_per_s
    assert {key: plain.setting(key) for key, _ in made.settings} == pytest.approx(dict(made.settings)) or (
        name == "openshift"  # whose time budget is its own
    )
