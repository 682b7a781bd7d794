"""Metrics of a migration under way, as KubeVirt serves them, and from a real Prometheus that reads them there."""

import contextlib
import http.server
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import MetricsHandler

from migkit.errors import RunError, UsageError
from migkit.importers import endpoint, read
from migkit.importers.endpoint import Endpoint, is_address
from migkit.traces import data
from tests.conftest import require

NAMES = {
    "remaining_bytes": "kubevirt_vmi_migration_data_remaining_bytes",
    "sent_bytes": "kubevirt_vmi_migration_data_processed_bytes",
    "bandwidth_bytes_per_s": "kubevirt_vmi_migration_memory_transfer_rate_bytes",
}


class Served:
    """A page of metrics about machines; it says what it is told to."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.gauges = {ours: Gauge(name, name, ["name"], registry=self.registry) for ours, name in NAMES.items()}
        self.total = Gauge("kubevirt_vmi_migration_data_bytes_total", "all", ["name"], registry=self.registry)
        Gauge("up_since", "not of migrations", registry=self.registry).set(3.0)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MetricsHandler.factory(self.registry))
        self.port = self.server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}/metrics"
        threading.Thread(target=self.server.serve_forever).start()

    def say(self, reading: dict[str, float], vm: str = "vm1", total: float = 2.0**33) -> None:
        self.total.labels(vm).set(total)
        for name, gauge in self.gauges.items():
            gauge.labels(vm).set(reading[name])

    def forget(self, vm: str) -> None:
        for gauge in (self.total, *self.gauges.values()):
            gauge.remove(vm)


@pytest.fixture
def served() -> Iterator[Served]:
    page = Served()
    yield page
    page.server.shutdown()
    page.server.server_close()


@pytest.fixture(scope="module")
def readings() -> list[dict[str, float]]:
    """Five readings of a real migration, some seconds apart."""
    frame = read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0].frame
    return [frame.iloc[at][list(NAMES)].to_dict() for at in (10, 30, 50, 70, 80)]


def test_each_look_adds_a_reading(served, readings):
    endpoint = Endpoint(served.address)
    for reading in readings:
        served.say(reading)
        log = endpoint.log()
    assert log.meta["vm"] == "vm1"
    assert log.frame["remaining_bytes"].tolist() == [one["remaining_bytes"] for one in readings]
    assert log.frame["sent_bytes"].tolist() == [one["sent_bytes"] for one in readings]
    assert log.frame["t_s"].is_monotonic_increasing


def test_a_page_that_says_the_same_again_is_no_reading(served, readings):
    endpoint = Endpoint(served.address)
    served.say(readings[0])
    endpoint.log()
    assert len(endpoint.log().frame) == 1


def test_a_migration_that_is_told_no_more_is_over(served, readings):
    endpoint = Endpoint(served.address)
    served.say(readings[0])
    assert endpoint.log() is not None
    served.forget("vm1")
    assert endpoint.log() is None


def test_a_migration_that_is_over_is_told_so_while_another_goes_on(served, readings):
    served.say(readings[0], "vm1")
    served.say(readings[1], "vm2")
    one, other = Endpoint(served.address, "vm1"), Endpoint(served.address, "vm2")
    assert one.log() is not None
    assert other.log() is not None
    served.forget("vm1")
    served.say(readings[2], "vm2")
    assert one.log() is None
    assert len(other.log().frame) == 2
    assert Endpoint(served.address).log().meta["vm"] == "vm2"


def test_of_several_machines_one_is_to_be_named(served, readings):
    served.say(readings[0], "vm1")
    served.say(readings[1], "vm2")
    with pytest.raises(UsageError, match=r"tells of vm1, vm2; name one of them with --vm"):
        Endpoint(served.address).log()
    log = Endpoint(served.address, "vm2").log()
    assert log.frame["remaining_bytes"].tolist() == [readings[1]["remaining_bytes"]]
    with pytest.raises(UsageError, match=r"--vm: .* tells nothing of vm3, but of vm1, vm2"):
        Endpoint(served.address, "vm3").log()


def test_a_page_without_a_migration_says_so(served):
    with pytest.raises(UsageError, match="tells of no migration under way"):
        Endpoint(served.address).log()


def test_an_address_of_something_else_says_so(served):
    with pytest.raises(UsageError, match="is no Prometheus server"):
        Endpoint(f"http://127.0.0.1:{served.port}").log()


def test_a_server_that_fails_for_a_while_ends_no_watch(served, readings, monkeypatch):
    served.say(readings[0])
    asked = Endpoint(served.address)
    first = asked.log()
    handler = served.server.RequestHandlerClass
    served.server.RequestHandlerClass = Failing
    assert asked.log() is first
    served.server.RequestHandlerClass = handler
    served.say(readings[1])
    assert len(asked.log().frame) == 2
    served.server.RequestHandlerClass = Failing
    monkeypatch.setattr(endpoint, "_FAILS_FOR_S", 0.0)
    with pytest.raises(RunError, match="answers 503"):
        asked.log()


class Failing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)

    def log_message(self, *what):
        pass


class Odd(http.server.BaseHTTPRequestHandler):
    """Answers as the address says: JSON of 100,000 brackets, a series without samples, or drop by drop."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path.startswith("/deep"):
            self.wfile.write(b"[" * 100_000)
        elif self.path.startswith("/none"):
            self.wfile.write(b'{"data": {"result": [{"metric": {"name": "vm1"}, "values": []}]}}')
        else:
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"#\n")
                    time.sleep(0.02)

    def log_message(self, *what):
        pass


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("/deep", UsageError, "is no Prometheus server"),
        ("/none", UsageError, "tells of no migration under way"),
        ("/slow", RunError, "the answer takes longer than"),
        ("/slow/metrics", RunError, "the answer takes longer than"),
    ],
)
def test_an_odd_answer_is_no_riddle_and_not_waited_for(monkeypatch, path, error, said):
    monkeypatch.setattr(endpoint, "_LIMIT_S", 0.5)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(error, match=said):
            Endpoint(f"http://127.0.0.1:{server.server_port}{path}").log()
        server.shutdown()
        thread.join()


def test_nobody_at_an_address_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(RunError, match="nobody answers"):
        Endpoint(f"http://127.0.0.1:{port}/metrics").log()
    with pytest.raises(RunError, match="nobody answers"):
        Endpoint("http://[::1").log()


def test_a_path_is_no_address():
    assert not is_address("/run/vm.qmp")


@pytest.mark.live
def test_a_real_prometheus_tells_the_readings_that_it_took(served, readings, tmp_path):
    require(shutil.which("prometheus"), "there is no Prometheus; apt-get install prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: virt, static_configs: [{{targets: ['127.0.0.1:{served.port}']}}]}}]\n"
    )
    served.say(readings[0])
    served.say(readings[3], "over")  # a migration that ends
    address = f"http://127.0.0.1:{port}"
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL) as server:
        try:
            _told(address, 1, "over")
            served.say(readings[4], "over")
            assert _told(address, 2, "over").meta["vm"] == "over"
            served.forget("over")
            assert len(_told(address, 1).frame) >= 1
            served.say(readings[1])
            log = _told(address, 2)
        finally:
            server.terminate()
    assert log.meta["vm"] == "vm1"
    assert log.frame["remaining_bytes"].unique().tolist() == [one["remaining_bytes"] for one in readings[:2]]


def _told(address, values, vm=None):
    """Ask until so many different readings are told."""
    while True:
        try:
            urllib.request.urlopen(f"{address}/-/ready", timeout=1.0).close()
            log = Endpoint(address, vm).log()
        except (OSError, RunError, UsageError):
            continue
        if log.frame["remaining_bytes"].nunique() == values:
            return log
