"""The reasons quote what was in force, and what they advise does help."""

import dataclasses
import re
import tomllib

import pandas as pd
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, predict, predict_many
from migkit.models import story
from migkit.scenario.form import schema
from migkit.units import rate

BUSY = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=1e6),))
MODERATE = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**27, writes_per_s=20_000.0),))


def why(guest, policy, **parts):
    return " ".join(predict(guest, policy=policy, level=None, **parts).reasons)


@pytest.mark.parametrize(
    ("guest", "policy", "said"),
    [
        (MODERATE, "qemu", "under a downtime limit of 300 ms"),
        (MODERATE, "nova", "under a downtime limit of 50 ms"),
        (BUSY, "nova", "under a downtime limit of 275 ms"),
        (BUSY, "proxmox", "under a downtime limit of 800 ms"),
        (BUSY, "kubevirt-ramp", "under a downtime limit of 257 ms"),
        (BUSY, "ovirt", "aborted by the policy ovirt at 7.17 min under a downtime limit of 500 ms"),
    ],
)
def test_the_limit_in_force_is_quoted(guest, policy, said):
    assert said in why(guest, Policy(name=policy), host=Host(platform="qemu-tcg"))


@pytest.mark.parametrize("name", ["xen", "xen-4.5", "hyperv-like", "criu-phaul", "criu-go-phaul"])
def test_rules_that_count_passes_quote_no_limit(name):
    text = why(BUSY, Policy(name=name))
    assert "by the number and the size of its passes" in text
    assert "limit of" not in text


def test_an_end_that_is_forced_is_not_said_to_be_under_the_limit():
    policy = Policy.named("kubevirt", allow_disruption=1, max_bandwidth_bytes_per_s=1e8)
    assert "more than the downtime limit of 300 ms allows; kubevirt forces the end" in why(BUSY, policy)


def test_a_downtime_far_above_the_limit_is_said_to_hold_more_than_pages():
    slow = Link.parse(bandwidth="1 kbit/s", rtt="1 s")
    told = predict(Guest(memory_bytes=2**20), link=slow, level=None)
    assert told.downtime_s > 600
    assert "300 ms, which counts the pages alone" in told.reasons[0]
    assert "the guest is down for" in told.reasons[0]
    assert "counts the pages alone" not in why(MODERATE, Policy(name="qemu"))


def merged(tables, remedy):
    """Return the tables of a scenario with what a remedy writes."""
    changed = {name: dict(table) for name, table in tables.items()}
    for name, table in tomllib.loads(remedy.replace(", ", "\n")).items():
        old = changed.setdefault(name, {})
        for key, value in table.items():
            old[key] = old.get(key, {}) | value if isinstance(value, dict) else value
    return changed


HOT = {"memory": "1 GiB", "dirty": [{"region": "512 MiB", "writes_per_s": 1_000_000}]}
PHASES = {"region": "256 MiB", "writes_per_s": 400_000, "phases": [["4 s", 1.0], ["2 s", 0.3]]}
BIG = {"memory": "64 GiB", "dirty": [{"region": "4 GiB", "writes_per_s": 700_000}]}
ONE_STREAM = {"guest": BIG, "link": {"bandwidth": "25 Gbit/s"}, "host": {"goodput": "12 Gbit/s"}}
HARD = {
    "default cap": {"guest": HOT},
    "default cap on 10 Gbit/s": {"guest": HOT, "link": {"bandwidth": "10 Gbit/s"}},
    "one stream": {**ONE_STREAM, "policy": {"name": "libvirt"}},
    "one stream under nova": {**ONE_STREAM, "policy": {"name": "nova"}},
    "kubevirt": {
        "guest": HOT,
        "link": {"bandwidth": "10 Gbit/s"},
        "policy": {"name": "kubevirt", "max_bandwidth": "640 MiB/s"},
    },
    "openshift": {"guest": HOT, "link": {"bandwidth": "1 Gbit/s"}, "policy": {"name": "openshift-2026"}},
    "shared link": {"guest": HOT, "link": {"bandwidth": "25 Gbit/s", "migrations": 6}, "policy": {"name": "libvirt"}},
    "slow link": {"guest": HOT, "link": {"bandwidth": "1 Gbit/s"}, "policy": {"name": "ovirt"}},
    "time limit": {"guest": HOT, "policy": {"time_limit": "20 s"}},
    "no time": {"guest": {"memory": "1 GiB"}, "policy": {"time_limit": "5 s"}},
    "nova in time": {"guest": {"memory": "2 GiB"}, "policy": {"name": "nova", "max_bandwidth": "1 MB/s"}},
    "nova settled": {
        "guest": {"memory": "2 GiB", "dirty": [{"region": "1 GiB", "writes_per_s": 10_000_000}]},
        "policy": {"name": "nova", "max_bandwidth": "100 MB/s"},
    },
    "cloud hypervisor": {
        "guest": HOT,
        "link": {"bandwidth": "25 Gbit/s"},
        "host": {"goodput": "4 Gbit/s"},
        "policy": {"name": "cloud-hypervisor"},
    },
    "throttled already": {"guest": HOT, "strategy": {"auto_converge": True}, "policy": {"max_bandwidth": "10 MB/s"}},
    "compressed": {
        "guest": HOT | {"compression_ratio": 8.0},
        "policy": {"max_bandwidth": "20 MB/s"},
        "strategy": {"compression": "zstd", "streams": 16},
    },
    "differences": {
        "guest": {"memory": "1 GiB", "dirty": [{"region": "256 MiB", "writes_per_s": 400_000, "rewrite": "1 KiB"}]},
        "policy": {"max_bandwidth": "40 MB/s", "downtime_limit": "20 ms"},
        "strategy": {"xbzrle": True},
    },
    "phases": {"guest": {"memory": "1 GiB", "dirty": [PHASES]}},
    "storage": {"guest": HOT, "strategy": {"storage": "20 GiB", "storage_dirty": "20 MB/s"}},
    "hardly a limit": {"guest": HOT, "policy": {"downtime_limit": "1 ms"}},
}


@pytest.mark.parametrize("name", HARD)
def test_each_remedy_does_help(name):
    result = predict(HARD[name], level=None)
    assert result.verdict != "converges"
    assert result.remedies
    for remedy in result.remedies:
        better = predict(merged(HARD[name], remedy), level=None, detail=False)
        assert better.verdict == "converges", remedy
        assert not any("what-if" in reason for reason in better.reasons)


def kinds(name):
    """Return the fields that the remedies of a hard case change, as one text each."""
    return [re.sub(r" = [^,]+", "", remedy) for remedy in predict(HARD[name], level=None).remedies]


def test_one_stream_is_not_told_to_raise_a_cap():
    result = predict(HARD["one stream"], level=None)
    assert result.limited_by == "stream"
    assert kinds("one stream")[:2] == ["strategy.streams", "strategy.auto_converge"]
    text = " ".join(result.reasons)
    assert "limited by one stream of the sending host, 12 Gbit/s; next by the link, 25 Gbit/s" in text
    assert "--parallel --parallel-connections" in text
    assert "No effect alone: a faster link." in text
    assert "cap" not in text


def test_nova_has_no_streams_before_2026_1():
    assert "strategy.streams" not in " ".join(kinds("one stream under nova"))
    newer = merged(HARD["one stream under nova"], 'policy.name = "nova-2026.1"')
    assert any("live_migration_parallel_connections" in reason for reason in predict(newer, level=None).reasons)


def test_a_policy_s_own_default_cap_is_named():
    result = predict(HARD["default cap on 10 Gbit/s"], level=None)
    assert result.limited_by == "cap"
    text = " ".join(result.reasons)
    assert "qemu's own default cap of 128 MiB/s = 1.07 Gbit/s (parameter max-bandwidth); next by the link" in text
    quiet = predict(Guest(memory_bytes=2**30), link=Link(bandwidth_bytes_per_s=1.25e9), level=None)
    assert quiet.verdict == "converges"
    assert quiet.reasons[1] == (
        "Its speed is limited by qemu's own default cap of 128 MiB/s = 1.07 Gbit/s (parameter max-bandwidth); "
        "the link gives 10 Gbit/s."
    )


def test_fewer_at_once_where_several_share_a_link():
    assert "link.migrations" in kinds("shared link")
    assert predict(HARD["shared link"], level=None).limited_by == "link"


@pytest.mark.parametrize("name", ["cloud hypervisor", "throttled already", "storage"])
def test_advice_stays_within_what_the_system_can_do(name):
    told = " ".join(predict(HARD[name], level=None).remedies)
    if name == "cloud hypervisor":
        assert "hybrid" not in told
        assert "auto_converge" not in told
        assert "strategy.streams" in told
    if name == "throttled already":
        assert "auto_converge" not in told


def test_a_compressed_page_needs_less_of_a_cap():
    def cap(tables):
        text = next(one for one in predict(tables, level=None).remedies if "max_bandwidth" in one)
        return rate(re.search(r'max_bandwidth = "([^"]+)"', text)[1])

    plain = {"guest": HOT, "policy": {"max_bandwidth": "20 MB/s"}, "strategy": {"streams": 16}}
    assert cap(HARD["compressed"]) < cap(plain) / 3


def test_the_limit_of_each_row_is_its_own():
    memory_bytes, page_cpu_s = 2**28, [0.0, 1e-4]
    frame = pd.DataFrame({"memory_bytes": [memory_bytes] * 2, "page_cpu_s": page_cpu_s})
    one_by_one = [
        predict(guest=Guest(memory_bytes=memory_bytes), host=Host(page_cpu_s=cpu_s), level=None).limited_by
        for cpu_s in page_cpu_s
    ]
    assert one_by_one == ["cap", "processor"]
    assert predict_many(frame)["limited_by"].tolist() == one_by_one


def test_a_cap_is_not_advised_where_the_processor_is_the_limit():
    small = dataclasses.replace(BUSY, compression_ratio=20.0)
    result = predict(
        small, policy=Policy(max_bandwidth_bytes_per_s=1e9), strategy=Strategy(compression="zlib"), level=None
    )
    assert result.limited_by == "processor"
    assert "max_bandwidth" not in " ".join(result.remedies)
    assert "the sender's processor, which prepares" in result.reasons[1]


def test_an_abort_names_the_settings_that_would_end_it():
    result = predict(HARD["nova settled"], level=None)
    assert "policy.settings.force_complete = 1" in result.remedies
    assert "policy.settings.force_complete = 1, policy.settings.allow_postcopy = 1" in result.remedies
    text = " ".join(result.reasons)
    assert "post-copy (live_migration_permit_post_copy)" in text
    assert "force_complete = 1 (live_migration_timeout_action)" in text


def test_an_abort_for_want_of_time_says_which_setting_gives_more():
    assert "policy.settings.completion_timeout_s_per_gib" in kinds("nova in time")


def test_a_time_limit_that_is_too_short_is_told_a_longer_one():
    assert kinds("no time")[:2] == ["policy.max_bandwidth", "policy.time_limit"]


def test_the_search_stops_where_it_is_not_asked_for():
    short = predict(HARD["default cap"], level=None, detail=False)
    assert short.remedies == ()
    assert len(short.reasons) == 2


def test_a_what_if_is_marked():
    result = predict(BUSY, policy=Policy(name="xen"), strategy=Strategy(name="postcopy"), level=None)
    assert result.reasons[-1] == (
        "what-if: strategy.name: Xen 4.6 and later cannot do this: postcopy; "
        "the answer is what it would come to if it could."
    )


@pytest.mark.parametrize(
    ("tables", "reason", "limit"),
    [
        ({"guest": {"memory": "1 GiB"}}, "within_limit", "cap"),
        ({"guest": {"memory": "1 GiB"}, "policy": {"name": "xen"}}, "by_passes", "stream"),
        ({"guest": HOT, "strategy": {"name": "postcopy"}}, "postcopy", "cap"),
        ({"guest": HOT, "strategy": {"name": "stopcopy"}}, "stopcopy", "cap"),
        ({"guest": HOT}, "settled", "cap"),
        ({"guest": HOT, "policy": {"time_limit": "20 s"}}, "time_limit", "cap"),
        ({"guest": HOT, "policy": {"name": "ovirt"}}, "policy_gave_up", "cap"),
        ({"guest": HOT, "host": {"destination_free_memory": "1 MiB"}}, "not_admitted", "cap"),
        (
            {
                "guest": HOT,
                "policy": {"name": "kubevirt", "max_bandwidth": "1 Gbit/s", "settings": {"allow_disruption": 1}},
            },
            "forced",
            "cap",
        ),
        ({"guest": HOT, "policy": {"name": "libvirt"}, "strategy": {"tls": True}}, "settled", "encryption"),
        (
            {"guest": HOT, "policy": {"name": "libvirt"}, "link": {"rtt": "50 ms", "window": "1 MiB"}},
            "settled",
            "tcp",
        ),
        (
            {"guest": HOT, "policy": {"name": "libvirt"}, "host": {"source_free_cores": 0.5}},
            "settled",
            "cores",
        ),
        ({"guest": HOT, "policy": {"name": "libvirt"}, "host": {"receive": "1 Gbit/s"}}, "settled", "receiver"),
        ({"guest": HOT, "policy": {"name": "libvirt"}, "host": {"goodput": "unlimited"}}, "within_limit", "guest"),
    ],
)
def test_reason_and_limit_are_words_and_the_frame_has_the_same(tables, reason, limit):
    result = predict(tables, level=None)
    assert (result.reason, result.limited_by) == (reason, limit)
    case = schema.from_mapping(tables)
    row = predict_many(pd.DataFrame({"memory_bytes": [case.guest.memory_bytes]}), case, remedies=True).iloc[0]
    assert (row["verdict"], row["reason"], row["limited_by"]) == (result.verdict, reason, limit)
    assert row["remedy"] == (result.remedies[0] if result.remedies else "")


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"guest": HOT}, "4.01 s"),
        (
            {"guest": HOT, "strategy": {"auto_converge": True}},
            "4.01 s unthrottled; it switched over before, within 300 ms",
        ),
        ({"guest": {"memory": "1 GiB"}}, "0 s"),
    ],
)
def test_the_natural_downtime_does_not_contradict_the_verdict(tables, words):
    assert story.natural(predict(tables, level=None)) == words


def test_the_risk_of_post_copy_is_the_same_everywhere():
    result = predict({"guest": HOT, "strategy": {"name": "postcopy"}, "host": {"failures_per_h": 0.01}}, level=None)
    words = story.risk(result)
    assert words.startswith(f"{result.risk:.2g} to lose the guest")
    assert words in str(result)
    assert words in result._repr_html_()


def test_a_migration_that_is_not_admitted_says_what_to_do():
    case = Scenario(guest=BUSY, host=Host(destination_free_memory_bytes=2**29))
    assert predict(case).reasons[0].endswith("Free memory there, choose another destination, or shrink the guest.")


@pytest.mark.parametrize(
    ("capacity", "said"),
    [
        (None, r"auto-converge \([^)]*\), which slows the guest by \d+ % if it writes as fast as it can\."),
        (1.2 * 20_000.0, r"auto-converge \([^)]*\), which slows the guest by \d+ %\."),
        (1e7, ""),
    ],
)
def test_auto_converge_helps_a_guest_that_rests_only_where_that_is_known(capacity, said):
    guest = dataclasses.replace(MODERATE, capacity_writes_per_s=capacity)
    text = why(guest, Policy.parse(max_bandwidth="60 MiB/s"), host=Host(platform="qemu-tcg"))
    assert "does not converge" in text
    assert re.search(said, text) if said else "auto-converge" not in text
