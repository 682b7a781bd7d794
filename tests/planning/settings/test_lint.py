"""Files against machines: which do not converge, which hit a timeout, and what cures them."""

import pandas as pd
import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, predict
from migkit.errors import UsageError
from migkit.planning.settings.catalogue import PRODUCTS
from migkit.planning.settings.cures import cures
from migkit.planning.settings.lint import lint, lint_documents, settlements
from migkit.planning.settings.loading import documents_of
from migkit.planning.settings.machines import Fleet

GIB = 2**30
HCO = "apiVersion: hco.kubevirt.io/v1\nkind: HyperConverged\nspec:\n  virtualization:\n    liveMigrationConfig:\n"


def machine(name, memory_gib, region_gib, writes_per_s, zero_gib=0):
    return {
        "name": name,
        "memory_bytes": memory_gib * GIB,
        "zero_bytes": zero_gib * GIB,
        "bandwidth_bytes_per_s": 1.25e8,
        "dirty_1_region_bytes": int(region_gib * GIB),
        "dirty_1_writes_per_s": writes_per_s,
    }


FLEET = pd.DataFrame(
    [machine("idle", 4, 0, 0.0, zero_gib=3), machine("calm", 4, 0.5, 2_000.0), machine("hot", 4, 1, 300_000.0)]
)


def outcomes(text, file, frame=FLEET):
    found = lint_documents(documents_of(file, text), Fleet.of_frame(frame))
    return {one.name: one.outcome for one in found.machines}, found


def test_machines_that_never_end_and_machines_that_hit_the_timeout_are_told_apart():
    words, found = outcomes(HCO + "      completionTimeoutPerGiB: 8\n", "hco.yaml")
    assert words == {"idle": "converges", "calm": "hits the timeout", "hot": "does not converge"}
    assert not found.holds
    (timeout,) = [one for one in found.findings if one.rule == "machine-hits-timeout"]
    assert (timeout.line, "calm" in timeout.what, "hot" in timeout.what) == (6, True, False)


def test_the_cure_of_a_timeout_is_the_least_that_does():
    """The value of the cure converges, and a tenth less does not."""
    product = PRODUCTS["openshift"]
    calm = Fleet.of_frame(FLEET[FLEET["name"] == "calm"])
    (_, settlement), *_ = settlements(documents_of("hco.yaml", HCO + "      completionTimeoutPerGiB: 4\n"))
    cure = next(one for one in cures(product, settlement.values, calm) if one.name == "completionTimeoutPerGiB")
    seconds = float(cure.text.rpartition("= ")[2])
    assert (cure.cured, cure.of) == (1, 1)
    for timeout_s, verdict in ((seconds, "converges"), (0.85 * seconds, "aborted")):
        values = {**settlement.values, "completionTimeoutPerGiB": timeout_s}
        assert calm.outcomes(product, values)["verdict"].tolist() == [verdict]


def test_two_at_once_share_the_link():
    """With half of the link a guest does not converge that converges alone; the cure is one at a time."""
    busy = pd.DataFrame([machine("busy", 1, 0.25, 20_000.0)])
    at_once = "[libvirt]\nlive_migration_completion_timeout = 60\n[DEFAULT]\nmax_concurrent_live_migrations = {}\n"
    alone, _ = outcomes(at_once.format(1), "nova.conf", busy)
    shared, found = outcomes(at_once.format(6), "nova.conf", busy)
    assert alone == {"busy": "converges"}
    assert shared["busy"] != "converges"
    finding = next(one for one in found.findings if one.rule.startswith("machine-"))
    assert "max_concurrent_live_migrations = " in finding.do


def test_a_machine_that_the_timeout_forces_is_a_warning():
    text = HCO + "      allowPostCopy: true\n      allowWorkloadDisruption: true\n"
    words, found = outcomes(text, "hco.yaml")
    assert words["hot"] == "is forced"
    assert found.holds
    assert [one.level for one in found.findings if one.rule == "machine-is-forced"] == ["warning"]


def test_post_copy_without_disruption_forces_nothing():
    """HyperConverged's default forbids disruption, so post-copy never begins (live-migration-source.go)."""
    assert outcomes(HCO + "      allowPostCopy: true\n", "hco.yaml")[0]["hot"] == "does not converge"


def test_a_policy_counts_over_its_cluster():
    policy = (
        "---\napiVersion: migrations.kubevirt.io/v1alpha1\nkind: MigrationPolicy\nmetadata:\n  name: gold\n"
        "spec:\n  selectors:\n    namespaceSelector:\n      a: b\n  allowPostCopy: true\n"
    )
    documents = documents_of("all.yaml", HCO + "      completionTimeoutPerGiB: 9\n" + policy)
    found = lint_documents(documents, Fleet.of_frame(FLEET))
    hot = {one.settings: one.outcome for one in found.machines if one.name == "hot"}
    assert hot[PRODUCTS["openshift"].title] == "does not converge"
    assert hot["MigrationPolicy gold"] == "is forced"


def test_the_prediction_is_that_of_the_policy_by_hand():
    """A scenario and the settings of nova.conf come to what the same policy predicts."""
    guest = Guest(memory_bytes=4 * GIB, dirty=(DirtyClass(region_bytes=GIB, writes_per_s=5_000),))
    link = Link(bandwidth_bytes_per_s=1.25e8)
    text = "[libvirt]\nlive_migration_bandwidth = 80\nlive_migration_downtime = 900\n"
    found = lint_documents(
        documents_of("nova.conf", text), Fleet.of_scenario(Scenario(guest=guest, link=link), "one")
    )
    by_hand = predict(
        guest, link=link, policy=Policy.named("nova", max_bandwidth_bytes_per_s=80 * 2**20, downtime_limit_s=0.9)
    )
    (one,) = found.machines
    assert (one.total_time_s, one.downtime_s) == pytest.approx((by_hand.total_time_s, by_hand.downtime_s), rel=1e-9)


def test_a_value_that_is_refused_changes_nothing():
    right, _ = outcomes("[libvirt]\n", "nova.conf", FLEET.head(2))
    wrong, _ = outcomes("[libvirt]\nlive_migration_downtime = 5\n", "nova.conf", FLEET.head(2))
    assert wrong == right


def test_columns_of_a_policy_do_not_count():
    few = FLEET.head(2)
    said = few.assign(policy="proxmox", downtime_limit_s=100.0)
    assert outcomes("[libvirt]\n", "nova.conf", said)[0] == outcomes("[libvirt]\n", "nova.conf", few)[0]


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame({"memory_bytes": [GIB]}), "the column name is missing"),
        (FLEET.head(0), "no rows"),
        (FLEET.assign(memory_gib=1.0), "memory_gib is not known"),
        (FLEET.assign(memory_bytes=-1), "3 of 3 machines are wrong: machine idle: "),
    ],
)
def test_a_wrong_inventory_is_refused(frame, says):
    with pytest.raises(UsageError, match=says):
        lint_documents(documents_of("nova.conf", "[libvirt]\n"), Fleet.of_frame(frame))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("notes.txt", "hello", "none of the files that are known"),
        ("a.yaml", "kind: MigrationPolicy\n spec: [", "line 2"),
        ("a.yaml", "kind: &a\n  b: *a\n", "cannot be read"),
        ("a.yaml", "kind: x\nspec: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("a.yaml", "kind: x\na: &a [1, 2]\nb: *a\nc: *a\n", "alias"),
        ("a.yaml", "kind: Pod\n", "none of the files that are known"),
        ("a.yaml", "kind:'just text'", "none of the files that are known"),
        ("a.json", '{"execute": 5}', "not a command"),
        ("a.json", '{"execute": "migrate", ', "not a JSON object"),
        ("b.json", '{"execute": "a", "arguments": {"c": 1, "c": 2}}', 'line 1: "c" is given twice in one object'),
        ("a.sh", "virsh migrate 'web1\n", "No closing quotation"),
        ("a.sh", "virsh list\nrm -rf x\n", "is none of virsh"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(name, text, says):
    with pytest.raises(UsageError, match=says) as error:
        documents_of(name, text)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "nova.conf"
    path.write_bytes(b"[libvirt]\n\xff\xfe\n")
    with pytest.raises(UsageError, match="no UTF-8 text"):
        lint([path])
    with pytest.raises(UsageError, match="cannot be read"):
        lint([tmp_path / "missing.conf"])


def test_a_list_of_objects_as_kubectl_prints_it_is_read_object_by_object():
    text = (
        '{"apiVersion": "v1", "kind": "List", "items": [{"kind": "MigrationPolicy", "spec": {"allowPostCopy": true}},'
        ' {"kind": "KubeVirt", "spec": {"configuration": {"migrations": {"network": "n"}}}}]}'
    )
    assert [one.kind for one in documents_of("a.json", text)] == ["MigrationPolicy", "KubeVirt"]


def test_a_wrong_row_is_named_by_its_machine_and_line(tmp_path):
    """Blank lines and quoted cells of several lines count as lines of the file."""
    path = tmp_path / "vms.csv"
    path.write_text('name,memory_bytes\nweb,1073741824\n\n"a\nb",1073741824\ndb,NaN\n')
    with pytest.raises(UsageError) as error:
        lint_documents(documents_of("nova.conf", "[libvirt]\n"), Fleet.load(path))
    assert f"inventory {path}: 1 of 3 machines is wrong: line 6, machine db: " in str(error.value)
    assert "predict_many" not in str(error.value)


def test_an_inventory_of_a_drain_is_read_as_well(tmp_path):
    path = tmp_path / "vms.csv"
    path.write_text("vm,host,memory,dirty_1_region,dirty_1_writes_per_s\nweb,a,4 GiB,64 MiB,100\n")
    fleet = Fleet.load(path)
    assert fleet.names == ["web"]
    assert fleet.frame["dirty_1_writes_per_s"].tolist() == [100.0]
