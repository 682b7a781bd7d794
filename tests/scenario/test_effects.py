"""Every key that a scenario file accepts changes what is predicted, simulated, or really run."""

import copy

import pytest

from migkit import predict, simulate
from migkit.scenario.form import keys, schema

BASE = {
    "guest": {
        "memory": "128 MiB",
        "zero": "32 MiB",
        "dirty": [{"region": "16 MiB", "writes_per_s": 2000, "reads_per_s": 50}],
        "compression_ratio": 2.0,
    },
    "link": {"bandwidth": "1 Gbit/s", "rtt": "1 ms"},
    "host": {},
    "policy": {"max_bandwidth": "20 MB/s"},
    "strategy": {},
}
OPEN = {"policy.max_bandwidth": "unlimited", "link.bandwidth": "unlimited"}
BUSY = {"guest.dirty.writes_per_s": 9000, "guest.capacity_writes_per_s": 9000, "policy.max_bandwidth": "10 MB/s"}
POSTCOPY = {"strategy.name": "postcopy"}
SHARED = {**POSTCOPY, "strategy.preempt": False}
HYBRID = {"strategy.name": "hybrid"}
XBZRLE = {"strategy.xbzrle": True, "guest.dirty.writes_per_s": 5000, "policy.downtime_limit": "10 ms"}
SWEEP = {"guest.dirty.kind": "sweep"}

# The key, its other value, and what must be so for it to matter
CASES = {
    "guest.memory": ("256 MiB", {}),
    "guest.zero": ("16 MiB", {}),
    "guest.compression_ratio": (3.0, {"strategy.compression": "zstd"}),
    "guest.fill": ("zero", {}),
    "guest.tracking": ("2 MiB", {}),
    "guest.layout": ("blocks", {"guest.zero": "0 B"}),
    "guest.zero_at_start": (0.1, {}),
    "guest.zero_at_end": (0.1, {}),
    "guest.untouched": ("16 MiB", {}),
    "guest.capacity_writes_per_s": (90_000, {**BUSY, "strategy.auto_converge": True}),
    "guest.vcpus": (8, {}),
    "guest.devices": ({"vhost-user": 1}, {}),
    "guest.device_state": ("10 MB", {}),
    "guest.restart_blocks": (2000, {"host.translate_block": "6 us"}),
    "guest.dirty.region": ("32 MiB", {}),
    "guest.dirty.writes_per_s": (4000, {}),
    "guest.dirty.kind": ("sweep", {}),
    "guest.dirty.rewrite": ("1 kB", XBZRLE),
    "guest.dirty.sweep_offset": ("1 MiB", {**SWEEP, "guest.dirty.writes_per_s": 100, "guest.tracking": "2 MiB"}),
    "guest.dirty.reads_per_s": (5000, POSTCOPY),
    "guest.dirty.zero_share": (0.5, {}),
    "guest.dirty.phases": ([["1 s", 1.0], ["1 s", 0.0]], {}),
    "guest.dirty.phase_offset": ("1 s", {"guest.dirty.phases": [["1 s", 1.0], ["1 s", 0.0]]}),
    "link.bandwidth": ("100 Mbit/s", {}),
    "link.rtt": ("20 ms", POSTCOPY),
    "link.window": ("10 kB", {}),
    "link.queue": ("1 MiB", SHARED),
    "link.loss": (0.1, {}),
    "link.background": ("900 Mbit/s", {}),
    "link.migrations": (20, {}),
    "link.steps": ([["1 s", 1.0], ["1 s", 0.0]], {}),
    "host.platform": ("xen", {}),
    "host.stop": ("1 s", {}),
    "host.stop_per_vcpu": ("1 s", {}),
    "host.flush_disks": ("1 s", {}),
    "host.machine_state": ("10 MB", {}),
    "host.announce": ("1 s", {}),
    "host.translate_block": ("6 us", {"guest.restart_blocks": 2000}),
    "host.reconnect": ("1 s", {"guest.devices": {"vhost-user": 1}}),
    "host.in_flight": ("4 MB", {"policy.max_bandwidth": "unlimited"}),
    "host.release": ("1 s", {}),
    "host.goodput": ("10 MB/s", {}),
    "host.receive": ("10 MB/s", {}),
    "host.page_header": ("100 B", {}),
    "host.zero_page": ("100 B", {}),
    "host.page_cpu": ("1 ms", {}),
    "host.zero_page_cpu": ("1 ms", {}),
    "host.postcopy_zero_page_cpu": ("1 ms", POSTCOPY),
    "host.sync_base": ("50 ms", {}),
    "host.sync_per_page": ("1 us", {}),
    "host.setup": ("1 s", {}),
    "host.quiesce": ("1 s", {}),
    "host.load": ("1 s", {}),
    "host.resume": ("1 s", {}),
    "host.write_fault": ("100 us", BUSY),
    "host.postcopy": ("10 MB/s", POSTCOPY),
    "host.fault_service": ("10 ms", POSTCOPY),
    "host.register_per_page": ("1 us", POSTCOPY),
    "host.discard_run": ("1 ms", {**HYBRID, "strategy.postcopy_after": "2 s"}),
    "host.tls": ("10 MB/s", {"strategy.tls": True}),
    "host.zlib": ("10 MB/s", {"strategy.compression": "zlib"}),
    "host.zstd": ("10 MB/s", {"strategy.compression": "zstd"}),
    "host.lz4": ("10 MB/s", {"strategy.compression": "lz4"}),
    "host.xbzrle": ("1 MB/s", XBZRLE),
    "host.xbzrle_header": ("1 kB", XBZRLE),
    "host.xbzrle_run": ("1 kB", XBZRLE),
    "host.xbzrle_same": ("1 kB", XBZRLE),
    "host.disk": ("10 MB/s", {"strategy.checkpoint": "100 MB"}),
    "host.source_free_cores": (0.5, OPEN),
    "host.destination_free_cores": (0.5, OPEN),
    "host.destination_free_memory": ("64 MiB", {}),
    "host.failures_per_h": (1.0, POSTCOPY),
    "host.window_extra": ("20 ms", {}),
    "host.poll": ("7 ms", {**OPEN, "host.goodput": "1.5 GB/s", "guest.layout": "blocks"}),
    "host.flush_pages": (4096, {}),
    "host.firmware": ("1 MiB", {}),
    "host.command": ("500 ms", {**HYBRID, "strategy.postcopy_after": "1 s"}),
    "policy.name": ("xen", {}),
    "policy.max_postcopy_bandwidth": ("5 MB/s", POSTCOPY),
    "policy.max_bandwidth": ("10 MB/s", {}),
    "policy.downtime_limit": ("5 ms", {}),
    "policy.time_limit": ("1 s", {}),
    "policy.settings": ({"passes": 2}, {"policy.name": "xen"}),
    "host.untouched_page_cpu": ("9 us", {"guest.untouched": "16 MiB"}),
    "strategy.name": ("stopcopy", {}),
    "strategy.postcopy_after": ("1 s", HYBRID),
    "strategy.postcopy_after_rounds": (2, HYBRID),
    "strategy.preempt": (False, POSTCOPY),
    "strategy.auto_converge": (True, BUSY),
    "strategy.dirty_limit": ("1 MB/s", BUSY),
    "strategy.compression": ("zstd", {}),
    "strategy.xbzrle": (True, {"guest.dirty.writes_per_s": 5000, "policy.downtime_limit": "10 ms"}),
    "strategy.xbzrle_cache": ("8 MiB", XBZRLE),
    "strategy.streams": (2, OPEN),
    "strategy.tls": (True, OPEN),
    "strategy.storage": ("100 MB", {}),
    "strategy.storage_dirty": ("1 MB/s", {"strategy.storage": "100 MB"}),
    "strategy.checkpoint": ("100 MB", {}),
}
IN_PAGES = {
    "strategy.prefetch_pages": (16, {**POSTCOPY, **SWEEP, "guest.dirty.sweep_offset": "8 MiB"}),
}
ELSEWHERE = {
    "schema_version": "checked by the schema",
    "guest.dirty": "a table of the keys below it",
    "guest.profile": "tested with profiles",
}


def scenario(changes):
    tables = copy.deepcopy(BASE)
    for path, value in changes.items():
        table, _, key = path.partition(".")
        target = tables["guest"]["dirty"][0] if key.startswith("dirty.") else tables[table]
        target[key.removeprefix("dirty.")] = value
    return schema.from_mapping(tables)


def test_every_key_of_the_schema_is_in_one_of_the_tables():
    assert {row.key for row in keys.document()} == {*CASES, *IN_PAGES, *ELSEWHERE}


@pytest.mark.parametrize("key", list(CASES))
def test_a_key_changes_the_prediction(key):
    value, context = CASES[key]
    before = predict(scenario(context), level=None)
    after = predict(scenario({**context, key: value}), level=None)
    assert after != before


@pytest.mark.parametrize("key", list(IN_PAGES))
def test_a_key_changes_the_page_level_simulation(key):
    value, context = IN_PAGES[key]
    assert simulate(scenario({**context, key: value})).runs != simulate(scenario(context)).runs
