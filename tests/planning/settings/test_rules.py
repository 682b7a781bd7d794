"""Each rule finds what it is for in a file, and nothing in a file that is right."""

import json
import math
import re

import pytest

from migkit.planning.settings.catalogue import PRODUCTS, RULES
from migkit.planning.settings.lint import lint_documents
from migkit.planning.settings.loading import documents_of
from migkit.planning.settings.option import ValueTextError

KUBE = {
    "KubeVirt": ("kubevirt.io/v1", "KubeVirt"),
    "HyperConverged": ("hco.kubevirt.io/v1", "HyperConverged"),
    "HyperConverged v1beta1": ("hco.kubevirt.io/v1beta1", "HyperConverged"),
    "MigrationPolicy": ("migrations.kubevirt.io/v1alpha1", "MigrationPolicy"),
    "DeschedulerPolicy": ("descheduler/v1alpha2", "DeschedulerPolicy"),
}
FILES = {"VM.conf": "100.conf"}  # where a kind is not the name of the file
OPTIONS = tuple({(one.kind, one.path): one for product in PRODUCTS.values() for one in product.options}.values())
BY_RULE = {f"{one.kind} {'.'.join(one.path)}": one for one in OPTIONS}


def nested(path, value):
    """Return YAML that holds one value."""
    return "".join(f"{'  ' * at}{key}:\n" for at, key in enumerate(path[:-1])) + (
        f"{'  ' * (len(path) - 1)}{path[-1]}: {value}\n"
    )


def kube(kind, body):
    version, name = KUBE[kind]
    return f"apiVersion: {version}\nkind: {name}\nmetadata:\n  name: one\n{body}"


def text_with(option, value):
    """Return a file, or a command, that sets one option as a person would."""
    kind, path = option.kind, option.path
    if kind in KUBE:
        return kube(kind, nested(path, value))
    if kind == "QMP":
        if path[0].endswith("capabilities"):
            state = f'{{"capability": "{path[1]}", "state": {plain_json(value)}}}'
            return f'{{"execute": "{path[0]}", "arguments": {{"capabilities": [{state}]}}}}'
        plain = plain_json(value)
        return f'{{"execute": "{path[0]}", "arguments": {{"{path[1]}": {plain}}}}}'
    if kind == "virsh":
        return f"virsh {path[0]} web1 --{path[1]} {value}"
    if kind == "qm":
        return f"qm {path[0]} 100 --{path[1]} {value}"
    if kind == "audit":
        return f"openstack optimize audit create -s zone_migration -p {path[1]}={value}"
    if kind == "incus":
        return nested(path, value)
    if kind in ("datacenter.cfg", "VM.conf"):
        return f"{path[0]}: {path[1]}={value}\n" if len(path) == 2 else f"{path[0]}: {value}\n"
    return f"[{path[0]}]\n{path[1]} = {value}\n" if len(path) == 2 else f'{path[0]} = "{value}"\n'


def plain_json(value):
    return value if re.fullmatch(r"-?[\d.]+|true|false", value) else json.dumps(value)


def found(rule, files):
    """Return what a rule finds in files, given by name."""
    documents = [one for name, text in files.items() for one in documents_of(name, text)]
    return rule.findings(documents)


def file_of(option, value):
    return {FILES.get(option.kind, option.kind): text_with(option, value)}


def wrong_value(option):
    if option.form in ("switch", "word"):
        return "perhaps"
    beyond = option.high * 2 if math.isinf(option.low) else option.low - 1
    return f"{beyond:.12g}"


def right_value(option):
    if option.form == "word":
        return option.choices[0]
    if option.form == "text":
        return "some"
    if option.form == "switch":
        return "true"
    if option.likely is not None:
        return likely_number(option)
    return f"{max(option.low, 1.0):.12g}"


def likely_number(option):
    low, high = option.likely
    middle = math.sqrt(max(low, 1e-3) * high)
    number = middle if option.step < 1 or option.form == "number" else max(round(middle), 1)
    return f"{number:.4g}" if option.form == "number" else f"{number:.0f}"


def of_options(fault):
    names = [rule.name.removesuffix(f": {fault}") for rule in RULES if rule.name.endswith(f": {fault}")]
    return [(name, BY_RULE[name]) for name in names]


def rule_named(name):
    return next(rule for rule in RULES if rule.name == name)


@pytest.mark.parametrize(("name", "option"), of_options("value"), ids=lambda one: one if isinstance(one, str) else "")
def test_a_value_beyond_the_documented_bounds_is_an_error(name, option):
    rule = rule_named(f"{name}: value")
    (finding,) = found(rule, file_of(option, wrong_value(option)))
    assert (finding.level, finding.source) == ("error", option.source)
    assert option.name in finding.what
    assert found(rule, file_of(option, right_value(option))) == []


@pytest.mark.parametrize(("name", "option"), of_options("unit"), ids=lambda one: one if isinstance(one, str) else "")
def test_a_number_in_another_unit_is_recognised(name, option):
    rule = rule_named(f"{name}: unit")
    assert found(rule, file_of(option, likely_number(option))) == []
    for other in option.mistaken:
        number = float(likely_number(option)) * option.unit.factor / other.factor
        text = f"{number:.0f}" if option.form == "whole" and number >= 1 else f"{number:.12f}".rstrip("0").rstrip(".")
        low, high = option.likely
        if low <= float(text) <= high:
            continue  # it makes sense as it is
        findings = found(rule, file_of(option, text))
        assert len(findings) == 1, (other.text, text)
        assert "looks like" in findings[0].what or "usual" in findings[0].do


@pytest.mark.parametrize(
    ("name", "option"), of_options("deprecated"), ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_deprecated_option_is_named_with_what_to_use(name, option):
    rule = rule_named(f"{name}: deprecated")
    value = "true" if option.form == "switch" else "1" if option.kind == "QMP" else "some"
    (finding,) = found(rule, file_of(option, value))
    assert finding.do
    other = next(one for one in OPTIONS if one.kind == option.kind and not one.deprecated and one.form == "whole")
    assert found(rule, file_of(other, right_value(other))) == []


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: f"{one.kind} {'.'.join(one.path)}")
def test_a_value_is_read_as_it_is_written(option):
    """The text that advice prints is the value that lint reads, rounded to the side that holds."""
    if option.form == "text":
        return
    value = option.read(right_value(option))
    text = option.write(value)
    assert option.outside(text) == ""
    (document,) = documents_of(FILES.get(option.kind, option.kind), text_with(option, text))
    entry = document.get(*option.path)
    assert entry is not None
    again = option.read(entry.text)
    if isinstance(value, bool | str):
        assert again == value
    else:
        step = 2**20 if option.form == "quantity" else option.step * option.unit.factor
        assert value - 1e-9 <= again <= value + step if option.up else value - step <= again <= value + 1e-9


@pytest.mark.parametrize(
    "option", [one for one in OPTIONS if isinstance(one.default, float)], ids=lambda one: one.name
)
def test_a_default_lies_within_its_bounds(option):
    if math.isinf(option.default) and not option.zero_is_unlimited:
        with pytest.raises(ValueTextError):
            option.write(option.default)
    else:
        assert option.outside(option.write(option.default)) == ""


def nova(*lines):
    return {"nova.conf": "[libvirt]\n" + "\n".join(f"live_migration_{line}" for line in lines) + "\n"}


def policy(*lines, selectors=True, name="one"):
    head = f"apiVersion: migrations.kubevirt.io/v1alpha1\nkind: MigrationPolicy\nmetadata:\n  name: {name}\nspec:\n"
    chosen = "  selectors:\n    namespaceSelector:\n      a: b\n" if selectors else ""
    return head + chosen + "".join(f"  {line}\n" for line in lines)


def cluster(*lines, gates=()):
    head = "apiVersion: kubevirt.io/v1\nkind: KubeVirt\nspec:\n  configuration:\n"
    gated = "    developerConfiguration:\n      featureGates:\n" + "".join(f"      - {gate}\n" for gate in gates)
    return head + (gated if gates else "") + "    migrations:\n" + "".join(f"      {line}\n" for line in lines)


def hco(*lines, version="v1", place=("virtualization", "liveMigrationConfig")):
    head = f"apiVersion: hco.kubevirt.io/{version}\nkind: HyperConverged\nspec:\n"
    keys = "".join(f"{'  ' * (at + 1)}{key}:\n" for at, key in enumerate(place))
    return head + keys + "".join(f"{'  ' * (len(place) + 1)}{line}\n" for line in lines)


def descheduler(*lines):
    return 'apiVersion: "descheduler/v1alpha2"\nkind: "DeschedulerPolicy"\n' + "".join(f"{one}\n" for one in lines)


def parameters(**given):
    return json.dumps(
        {"execute": "migrate-set-parameters", "arguments": {k.replace("_", "-"): v for k, v in given.items()}}
    )


def capabilities(*names):
    on = [{"capability": name, "state": True} for name in names]
    return json.dumps({"execute": "migrate-set-capabilities", "arguments": {"capabilities": on}})


def virsh(flags):
    return {"moves.sh": f"# move it\nvirsh migrate {flags} web1 qemu+ssh://b/system\n"}


POST_COPY = ("permit_post_copy = true", "timeout_action = force_complete")
CASES = {
    "nova-wrong-section": (
        {"nova.conf": "[DEFAULT]\nlive_migration_downtime = 700\n"},
        {"nova.conf": "[libvirt]\nlive_migration_downtime = 700\n"},
    ),
    "nova-unknown": (nova("completion_timout = 100"), nova("completion_timeout = 100")),
    "nova-unread": ({"nova.conf": "[libvirt\nlive_migration_downtime = 50\n"}, nova("downtime = 500")),
    "nova-twice": (nova("downtime = 500", "downtime = 700"), nova("downtime = 700")),
    "nova-timeout-before-last-step": (nova("completion_timeout = 400"), nova("completion_timeout = 800")),
    "nova-post-copy-never": (nova("permit_post_copy = true"), nova(*POST_COPY)),
    "nova-force-complete-never": (
        nova("timeout_action = force_complete", "completion_timeout = 0"),
        nova("timeout_action = force_complete"),
    ),
    "nova-auto-converge-ignored": (
        nova(*POST_COPY, "permit_auto_converge = true"),
        nova("permit_auto_converge = true"),
    ),
    "nova-connections-beside-post-copy": (
        nova(*POST_COPY, "parallel_connections = 4"),
        nova("parallel_connections = 4"),
    ),
    "nova-tunnelled-and-tls": (nova("tunnelled = true", "with_native_tls = true"), nova("with_native_tls = true")),
    "nova-concurrency-zero": (
        {"nova.conf": "[DEFAULT]\nmax_concurrent_live_migrations = 0\n"},
        {"nova.conf": "[DEFAULT]\nmax_concurrent_live_migrations = 2\n"},
    ),
    "nova-connections-need-cores": (
        nova("parallel_connections = 4", "with_native_tls = true"),
        nova("parallel_connections = 4"),
    ),
    "watcher-timeout": (
        {"watcher.conf": "[nova]\nmigration_max_retries = 20\n"},
        {"watcher.conf": "[nova]\nmigration_max_retries = 360\n"},
    ),
    "watcher-old-group": (
        {"watcher.conf": "[nova_client]\nmigration_max_retries = 180\n"},
        {"watcher.conf": "[nova]\nmigration_max_retries = 180\n"},
    ),
    "watcher-wrong-section": (
        {"watcher.conf": "[DEFAULT]\nmigration_max_retries = 200\n"},
        {"watcher.conf": "[nova]\nmigration_max_retries = 200\n"},
    ),
    "watcher-node-above-total": (
        {"a.sh": "openstack optimize audit create -p parallel_per_node=4 -p parallel_total=3"},
        {"a.sh": "openstack optimize audit create -p parallel_per_node=2 -p parallel_total=3"},
    ),
    "watcher-unread": ({"watcher.conf": "[nova]\nretries\n"}, {"watcher.conf": "[nova]\nmigration_interval = 5\n"}),
    "watcher-goal": (
        {"a.sh": "openstack optimize audit create -g cluster_maintaining -s zone_migration -p compute_nodes=[]"},
        {
            "a.sh": "openstack optimize audit create --goal=hardware_maintenance -s zone_migration\n"
            "openstack optimize audit create -g cluster_maintaining -s host_maintenance -p maintenance_node=a\n"
        },
    ),
    "watcher-nothing-to-move": (
        {"a.sh": "openstack optimize audit create -g cluster_maintaining -s host_maintenance"},
        {"a.sh": "openstack optimize audit create -g cluster_maintaining -s host_maintenance -p maintenance_node=a"},
    ),
    "kubevirt-no-selectors": (
        {"p.yaml": policy("allowAutoConverge: true", selectors=False)},
        {"p.yaml": policy("allowAutoConverge: true")},
    ),
    "kubevirt-same-selectors": (
        {"p.yaml": policy("allowAutoConverge: true", name="a") + "---\n" + policy("allowPostCopy: true", name="b")},
        {"p.yaml": policy("allowAutoConverge: true", name="a")},
    ),
    "kubevirt-cluster-only": (
        {"p.yaml": policy("parallelOutboundMigrationsPerNode: 1")},
        {"k.yaml": cluster("parallelOutboundMigrationsPerNode: 1"), "p.yaml": policy("allowPostCopy: true")},
    ),
    "kubevirt-downtime-gate": (
        {"p.yaml": policy("maxDowntimeMs: 700")},
        {"p.yaml": policy("maxDowntimeMs: 700"), "k.yaml": cluster("network: n", gates=["MigrationStallDetection"])},
    ),
    "kubevirt-ramp-gate": (
        {"p.yaml": policy("experimental:", "  downtimeTuning:", "    initialMs: 100")},
        {
            "p.yaml": policy("experimental:", "  downtimeTuning:", "    initialMs: 100"),
            "k.yaml": cluster("network: n", gates=["MigrationDowntimeTuning"]),
        },
    ),
    "kubevirt-stall-gate": (
        {
            "p.yaml": policy("experimental:", "  stallDetector:", "    stallMargin: 5"),
            "k.yaml": cluster("network: n"),
        },
        {
            "p.yaml": policy("experimental:", "  stallDetector:", "    stallMargin: 5"),
            "k.yaml": cluster("network: n", gates=["MigrationStallDetection"]),
        },
    ),
    "kubevirt-two-schedules": (
        {
            "p.yaml": policy(
                *("experimental:", "  stallDetector:", "    stallMargin: 5", "  downtimeTuning:", "    steps: 3")
            )
        },
        {"p.yaml": policy("experimental:", "  stallDetector:", "    stallMargin: 5")},
    ),
    "kubevirt-post-copy-never": (
        {"h.yaml": hco("allowPostCopy: true")},
        {
            "h.yaml": hco("allowPostCopy: true", "allowWorkloadDisruption: true"),
            "p.yaml": policy("allowPostCopy: true"),
        },
    ),
    "kubevirt-pauses": (
        {"k.yaml": cluster("allowWorkloadDisruption: true")},
        {"k.yaml": cluster("allowWorkloadDisruption: true", "allowPostCopy: true")},
    ),
    "kubevirt-node-above-cluster": (
        {"k.yaml": cluster("parallelOutboundMigrationsPerNode: 6")},
        {"k.yaml": cluster("parallelOutboundMigrationsPerNode: 6", "parallelMigrationsPerCluster: 12")},
    ),
    "kubevirt-timeout-below-cap": (
        {"h.yaml": hco("bandwidthPerMigration: 32Mi")},
        {"h.yaml": hco("bandwidthPerMigration: 32Mi", "completionTimeoutPerGiB: 90")},
    ),
    "kubevirt-place": (
        {"k.yaml": kube("KubeVirt", nested(("spec", "migrations", "bandwidthPerMigration"), "64Mi"))},
        {"k.yaml": cluster("bandwidthPerMigration: 64Mi"), "p.yaml": policy("bandwidthPerMigration: 64Mi")},
    ),
    "kubevirt-hco-place": (
        {"h.yaml": hco("allowPostCopy: true", place=("liveMigrationConfig",))},
        {"h.yaml": hco("allowPostCopy: true", place=("liveMigrationConfig",), version="v1beta1")},
    ),
    "kubevirt-hco-defaults": (
        {"h.yaml": hco("allowPostCopy: false")},
        {"h.yaml": hco("completionTimeoutPerGiB: 60", "parallelOutboundMigrationsPerNode: 1")},
    ),
    "kubevirt-old-timeout": (
        {"k.yaml": cluster("completionTimeoutPerGiB: 800")},
        {"k.yaml": cluster("completionTimeoutPerGiB: 80")},
    ),
    "kubevirt-general-gate": (
        {"k.yaml": cluster("network: n", gates=["LiveMigration"])},
        {"k.yaml": cluster("network: n", gates=["MigrationStallDetection"])},
    ),
    "kubevirt-no-tls": ({"k.yaml": cluster("disableTLS: true")}, {"k.yaml": cluster("disableTLS: false")}),
    "kubevirt-unknown": (
        {"h.yaml": hco("completionTimeoutPerGib: 30")},
        {"h.yaml": hco("completionTimeoutPerGiB: 30")},
    ),
    "kubevirt-twice": (
        {"k.yaml": cluster("completionTimeoutPerGiB: 30", "completionTimeoutPerGiB: 60")},
        {"k.yaml": cluster("completionTimeoutPerGiB: 60", gates=["MigrationStallDetection", "VGPULiveMigration"])},
    ),
    "descheduler-beyond-cluster": (
        {"d.yaml": descheduler("maxNoOfPodsToEvictPerNode: 5"), "k.yaml": cluster("network: n")},
        {"d.yaml": descheduler("maxNoOfPodsToEvictPerNode: 2"), "k.yaml": cluster("network: n")},
    ),
    "descheduler-unlimited": (
        {"d.yaml": descheduler("nodeSelector: prod=dev")},
        {"d.yaml": descheduler("maxNoOfPodsToEvictTotal: 5")},
    ),
    "proxmox-unsecure-ignored": (
        {"datacenter.cfg": "migration_unsecure: 1\nmigration: secure\n"},
        {"datacenter.cfg": "migration: insecure\n"},
    ),
    "proxmox-lower-cap": (
        {"datacenter.cfg": "bwlimit: migration=102400\n", "100.conf": "migrate_speed: 500\n"},
        {"datacenter.cfg": "bwlimit: migration=1024000\n", "100.conf": "migrate_speed: 500\n"},
    ),
    "proxmox-machine-option": (
        {"datacenter.cfg": "migrate_downtime: 0.5\n"},
        {"100.conf": "migrate_downtime: 0.5\n", "datacenter.cfg": "max_workers: 2\n"},
    ),
    "proxmox-cluster-option": ({"100.conf": "bwlimit: 102400\n"}, {"100.conf": "memory: 4096\n"}),
    "proxmox-network": (
        {"datacenter.cfg": "migration: secure,network=10.1.2.3/24\n"},
        {"datacenter.cfg": "migration: secure,network=10.1.2.0/24\n"},
    ),
    "proxmox-tunnel": (
        {"datacenter.cfg": "bwlimit: migration=1024000\n"},
        {"datacenter.cfg": "migration: insecure,network=10.1.2.0/24\n"},
    ),
    "proxmox-unknown": (
        {"datacenter.cfg": "migration: type=secure,netwrk=10.1.2.0/24\n"},
        {"datacenter.cfg": "migration: type=secure,network=10.1.2.0/24\n"},
    ),
    "proxmox-unknown-in-cluster": (
        {"datacenter.cfg": "bwlimt: migration=5\n"},
        {"datacenter.cfg": "bwlimit: migration=50000,clone=50000\nnext-id: lower=200\nmac_prefix: BC:24:11\n"},
    ),
    "proxmox-unknown-in-machine": (
        {"101.conf": "migrate_sped: 100\n"},
        {"101.conf": "# a note\nname: db\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n[snap]\nx\n"},
    ),
    "proxmox-unread": (
        {"datacenter.cfg": "bwlimit migration=5\n"},
        {"datacenter.cfg": "\n# a note\nbwlimit: migration=50000\n"},
    ),
    "proxmox-local-device": (
        {"101.conf": "hostpci0: 0000:01:00.0\n"},
        {"101.conf": "hostpci0: mapping=gpu\nserial0: socket\nusb0: spice\nusb1: host=spice\n"},
    ),
    "proxmox-mapped-device": (
        {"101.conf": "hostpci0: mapping=gpu,mdev=nvidia-1\n"},
        {"101.conf": "hostpci0: 0000:01:00.0\n"},
    ),
    "proxmox-unknown-flag": (
        {"m.sh": "qm migrate 100 node2 --online --with-local-disk"},
        {"m.sh": "qm migrate 100 node2 -online --with-local-disks 1\nqm set 100 --net0 virtio --migrate_speed 100\n"},
    ),
    "proxmox-twice": (
        {"datacenter.cfg": "max_workers: 2\nmax_workers: 4\n"},
        {"datacenter.cfg": "max_workers: 4\n"},
    ),
    "ovirt-wrong-section": (
        {"vdsm.conf": "[addresses]\nmigration_downtime = 800\n"},
        {"vdsm.conf": "[vars]\nmigration_downtime = 800\n"},
    ),
    "ovirt-unknown": (
        {"vdsm.conf": "[vars]\nmigration_max_bandwith = 100\n"},
        {"vdsm.conf": "[vars]\nmigration_max_bandwidth = 100\n"},
    ),
    "ovirt-unread": (
        {"vdsm.conf": "[vars]\nmigration_downtime 800\n"},
        {"vdsm.conf": "[vars]\nmigration_downtime = 800\n"},
    ),
    "ovirt-monitor-off": (
        {"vdsm.conf": "[vars]\nmigration_monitor_interval = 0\n"},
        {"vdsm.conf": "[vars]\nmigration_monitor_interval = 10\n"},
    ),
    "ovirt-incoming-below-outgoing": (
        {"vdsm.conf": "[vars]\nmax_incoming_migrations = 1\n"},
        {"vdsm.conf": "[vars]\nmax_incoming_migrations = 1\nmax_outgoing_migrations = 1\n"},
    ),
    "incus-stateless-live": (
        {"i.yaml": "config:\n  cluster.evacuate: live-migrate\n"},
        {"i.yaml": 'config:\n  cluster.evacuate: live-migrate\n  migration.stateful: "true"\n'},
    ),
    "incus-moved-cold": (
        {"i.sh": "incus config set web1 migration.stateful=true cluster.evacuate=migrate"},
        {"i.sh": "incus config set web1 migration.stateful=true cluster.evacuate=auto"},
    ),
    "incus-containers-only": (
        {"i.yaml": "type: virtual-machine\nconfig:\n  cluster.evacuate: refresh-migrate\n"},
        {"i.yaml": "type: container\nconfig:\n  cluster.evacuate: refresh-migrate\n"},
    ),
    "incus-unknown": (
        {"i.sh": "incus config set web1 migration.bandwidth 100MB"},
        {"i.sh": "incus config set web1 migration.stateful true"},
    ),
    "libvirt-wrong-file": (
        {"libvirt.conf": 'migration_host = "node1"\n'},
        {"qemu.conf": 'migration_host = "node1"\n', "libvirt.conf": 'uri_default = "qemu:///system"\n'},
    ),
    "libvirt-unread": (
        {"qemu.conf": "migration_port_min 49300\n"},
        {"qemu.conf": 'cgroup_device_acl = [\n    "/dev/null", "/dev/full",\n    "/dev/kvm"\n]\n'},
    ),
    "libvirt-unknown-in-qemu.conf": (
        {"qemu.conf": "migration_port_mx = 49100\n"},
        {"qemu.conf": 'migration_port_max = 49100\nvnc_listen = "::"\n'},
    ),
    "libvirt-unknown-in-libvirt.conf": (
        {"libvirt.conf": "migrate_speed = 100\n"},
        {"libvirt.conf": 'uri_default = "qemu:///system"\n'},
    ),
    "libvirt-unknown-in-libvirtd.conf": (
        {"libvirtd.conf": "max_client = 100\n"},
        {"libvirtd.conf": "max_clients = 100\n"},
    ),
    "libvirt-localhost": (
        {"qemu.conf": 'migration_host = "localhost"\n'},
        {"qemu.conf": 'migration_host = "node1.example.com"\n'},
    ),
    "libvirt-ports": (
        {"qemu.conf": "migration_port_min = 49300\n"},
        {"qemu.conf": "migration_port_min = 49300\nmigration_port_max = 49400\n"},
    ),
    "libvirt-keepalive-off": (
        {"qemu.conf": "keepalive_interval = -1\n"},
        {"qemu.conf": "keepalive_interval = 5\n"},
    ),
    "libvirt-twice": (
        {"qemu.conf": "keepalive_count = 5\nkeepalive_count = 9\n"},
        {"qemu.conf": "keepalive_count = 9\n"},
    ),
    "libvirt-timeout-postcopy-alone": (
        virsh("--live --timeout 60 --timeout-postcopy"),
        virsh("--live --postcopy --timeout 60 --timeout-postcopy"),
    ),
    "libvirt-postcopy-after-precopy-alone": (
        virsh("--live --postcopy-after-precopy"),
        virsh("--live --postcopy --postcopy-after-precopy"),
    ),
    "libvirt-parallel-connections-alone": (
        virsh("--live --parallel-connections 4"),
        virsh("--live --parallel --parallel-connections 4"),
    ),
    "libvirt-timeout-alone": (virsh("--timeout 60"), virsh("--live --timeout 60")),
    "libvirt-comp-methods-alone": (
        virsh("--live --comp-methods xbzrle"),
        virsh("--live --compressed --comp-methods xbzrle"),
    ),
    "libvirt-postcopy-bandwidth-alone": (
        virsh("--live --postcopy-bandwidth 100"),
        virsh("--live --postcopy --postcopy-bandwidth 100"),
    ),
    "libvirt-unknown-flag": (virsh("--live --auto-convrge"), virsh("--live --auto-converge")),
    "libvirt-post-copy-never": (
        virsh("--live --postcopy"),
        {"moves.sh": "virsh migrate --live --postcopy web1 qemu+ssh://b/system\nvirsh migrate-postcopy web1\n"},
    ),
    "libvirt-compression-method": (
        virsh("--live --compressed --comp-methods zstd"),
        virsh("--live --parallel --compressed --comp-methods zstd"),
    ),
    "libvirt-tunnelled-parallel": (virsh("--live --p2p --tunnelled --parallel"), virsh("--live --parallel --tls")),
    "libvirt-cache-size": (
        {"c.sh": "virsh migrate-compcache web1 --size 100000000"},
        {"c.sh": "virsh migrate-compcache web1 --size 134217728"},
    ),
    "qemu-multifd-off": (
        {"q.json": parameters(multifd_channels=4)},
        {"q.json": capabilities("multifd") + "\n" + parameters(multifd_channels=4)},
    ),
    "qemu-throttle-off": (
        {"q.json": parameters(cpu_throttle_initial=40)},
        {"q.json": capabilities("auto-converge") + parameters(cpu_throttle_initial=40)},
    ),
    "qemu-xbzrle-off": (
        {"q.json": parameters(xbzrle_cache_size=2**28)},
        {"q.json": capabilities("xbzrle") + parameters(xbzrle_cache_size=2**28)},
    ),
    "qemu-dirty-limit-off": (
        {"q.json": parameters(vcpu_dirty_limit=10)},
        {"q.json": capabilities("dirty-limit") + parameters(vcpu_dirty_limit=10)},
    ),
    "qemu-post-copy-off": (
        {"q.json": parameters(max_postcopy_bandwidth=2**30)},
        {"q.json": capabilities("postcopy-ram") + parameters(max_postcopy_bandwidth=2**30)},
    ),
    "qemu-two-throttles": (
        {"q.json": capabilities("dirty-limit", "auto-converge")},
        {"q.json": capabilities("dirty-limit")},
    ),
    "qemu-xbzrle-multifd": ({"q.json": capabilities("multifd", "xbzrle")}, {"q.json": capabilities("multifd")}),
    "qemu-zero-copy": (
        {"q.json": capabilities("multifd", "zero-copy-send") + parameters(multifd_compression="zstd")},
        {"q.json": capabilities("multifd", "zero-copy-send")},
    ),
    "qemu-throttle-order": (
        {"q.json": parameters(cpu_throttle_initial=60, max_cpu_throttle=50)},
        {"q.json": parameters(cpu_throttle_initial=60, max_cpu_throttle=80)},
    ),
    "qemu-cache-size": (
        {"q.json": parameters(xbzrle_cache_size=100_000_000)},
        {"q.json": parameters(xbzrle_cache_size=134_217_728)},
    ),
    "qemu-old-command": (
        {"q.json": json.dumps({"execute": "migrate_set_downtime", "arguments": {"value": 0.5}})},
        {"q.json": parameters(downtime_limit=500)},
    ),
    "qemu-unknown": ({"q.json": parameters(downtime_limits=500)}, {"q.json": parameters(downtime_limit=500)}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_finds_the_fault_and_nothing_in_its_place(name):
    rule = rule_named(name)
    broken, right = CASES[name]
    findings = found(rule, broken)
    assert findings, name
    assert all(finding.line >= 1 and finding.file in broken and finding.do for finding in findings)
    assert found(rule, right) == []


def test_every_rule_is_tried_and_has_a_public_source():
    own = [rule for rule in RULES if not rule.name.endswith((": value", ": unit", ": deprecated"))]
    assert {rule.name for rule in own} == CASES.keys()
    assert len(own) >= 40
    assert all(rule.source.startswith("https://") for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("k.yaml", cluster('completionTimeoutPerGiB: "80"'), ["= 80: it must be a number without quotes"]),
        ("k.yaml", cluster("parallelMigrationsPerCluster: '5'"), ["= 5: it must be a number without quotes"]),
        ("k.yaml", cluster('allowAutoConverge: "true"'), ["= true: it must be true or false without quotes"]),
        ("k.yaml", cluster("allowAutoConverge: 1"), ["= 1: it must be true or false"]),
        ("k.yaml", cluster('bandwidthPerMigration: "64Mi"', "progressTimeout: null", "network:"), []),
        ("q.json", capabilities("multifd").replace("true", '"true"'), ["it must be true or false without quotes"]),
        ("q.json", parameters(downtime_limit="300"), ["= 300: it must be a number without quotes"]),
        ("i.yaml", 'config:\n  migration.stateful: "true"\n', []),
        ("nova.conf", nova("completion_timeout = 1e3")["nova.conf"], ["= 1e3: it must be a whole number"]),
        ("nova.conf", nova("downtime_steps = 99999999999999999999")["nova.conf"], ["larger than any whole number"]),
        ("nova.conf", nova("bandwidth = '500'")["nova.conf"], []),
        ("nova.conf", nova("downtime 500", "bandwidth = 500")["nova.conf"], ["downtime 500 is no name with a value"]),
    ],
)
def test_a_value_has_the_type_that_the_product_wants(file, text, says):
    """JSON and Kubernetes tell 5 from "5"; oslo.config and Incus read texts, and no whole number has an exponent."""
    found_errors = [one.what for rule in RULES for one in found(rule, {file: text}) if one.level == "error"]
    assert len(found_errors) == len(says)
    assert all(words in what for words, what in zip(says, found_errors, strict=True))


def test_yes_is_true_in_yaml():
    """KubeVirt's rules see the switch that is on, however YAML writes it."""
    rule = rule_named("kubevirt-post-copy-never")
    assert found(rule, {"k.yaml": cluster("allowPostCopy: yes")})
    assert found(rule, {"k.yaml": cluster("allowPostCopy: yes", "allowWorkloadDisruption: on")}) == []


def test_a_flag_of_qm_set_is_checked():
    (finding,) = found(rule_named("proxmox-unknown-flag"), {"m.sh": "qm set 100 --migrate_sped 100"})
    assert finding.do == "did you mean --migrate_speed?"


def test_every_option_has_a_rule_of_its_own_for_its_value():
    named = {rule.name for rule in RULES if rule.name.endswith(": value")}
    assert len(named) == sum(option.form != "text" for option in OPTIONS)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("virsh migrate --live --bandwidth 10Gbit web1 qemu+ssh://h2/system", "bandwidth = 10Gbit: it must be"),
        ("virsh migrate --bandwidth=10000000000 --live web1 qemu+ssh://h2/system", "it looks like"),
        ("virsh migrate web1 qemu+ssh://h2/system --live --bandwidth 0", "at least 1 MiB/s"),
        ("virsh migrate-setspeed web1 12,5", "bandwidth = 12,5: it must be"),
        ("qm migrate 100 node2 --online 1 --bwlimit 1G", "bwlimit = 1G: it must be"),
    ],
)
def test_each_command_that_takes_a_bandwidth_is_checked(command, says):
    """Two commands of a program may have an option of one name."""
    findings = [one for rule in RULES for one in found(rule, {"moves.sh": command})]
    assert any(says in finding.what for finding in findings)


def test_options_of_other_sections_are_no_faults():
    """Nova has options of migrations outside of [libvirt], too (nova/conf/compute.py)."""
    text = "[DEFAULT]\nlive_migration_retry_count = 20\n[compute]\nlive_migration_wait_for_vif_plug = false\n"
    assert [one for rule in RULES for one in found(rule, {"nova.conf": text})] == []


def test_hyperconverged_has_fewer_options_than_kubevirt():
    """What KubeVirt has and HyperConverged has not is dropped by its API."""
    rule = rule_named("kubevirt-unknown")
    assert found(rule, {"k.yaml": cluster("unsafeMigrationOverride: true")}) == []
    (finding,) = found(rule, {"h.yaml": hco("unsafeMigrationOverride: true")})
    assert finding.level == "error"


def test_the_line_is_that_of_the_fault():
    text = "# before\n\n[libvirt]\nvirt_type = kvm\n\nlive_migration_downtime = 30\n"
    (finding,) = found(rule_named("nova.conf libvirt.live_migration_downtime: value"), {"nova.conf": text})
    assert finding.line == 6


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("spec: 5\n", [(5, "spec = 5 is a value, and settings belong there")]),
        (
            "spec:\n  configuration:\n    migrations: [1, 2]\n",
            [(7, "migrations is a list, and settings belong there")],
        ),
        ("spec:\n  configuration:\n    migrations: {}\n", []),
    ],
)
def test_a_value_in_the_place_of_settings(body, said):
    findings = lint_documents(documents_of("kubevirt.yaml", kube("KubeVirt", body))).findings
    assert [(one.line, one.what) for one in findings] == said
