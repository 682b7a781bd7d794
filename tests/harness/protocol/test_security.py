"""Who is let in: one source, with the right certificate, token and protocol version; both sides hear why not."""

import contextlib
import datetime
import re
import select
import shutil
import socket
import ssl
import struct

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from migkit.errors import RunError, UsageError
from migkit.harness.guests import writers
from migkit.harness.processes.member import Member
from migkit.harness.processes.nursery import Nursery
from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.identity import make_identities, secure
from migkit.harness.runs import run as runs
from migkit.harness.runs.migration import guest_of
from migkit.scenario import Guest, Policy, Scenario, Strategy

pytestmark = pytest.mark.live
MIB = 1 << 20
TOKEN = "0123456789abcdef"
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
SCENARIO = Scenario(guest=Guest(memory_bytes=MIB), policy=Policy(max_bandwidth_bytes_per_s=100e6))


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    folder = tmp_path_factory.mktemp("identity")
    make_identities(folder)
    return folder


class Destination:
    """A destination that waits for its source."""

    def __init__(self, nursery, identity, patience_s=10.0):
        self._guest = guest_of(nursery, SCENARIO, runs.Options(), None)
        config = {
            "host": "127.0.0.1",
            "port": 0,
            "token": TOKEN,
            "patience_s": patience_s,
            "identity": str(identity) if identity else None,
            "memory_bytes": MIB,
            "flip_byte": None,
            "populate_bytes": MIB,
        }
        self._member = Member(nursery, "destination", config, self._guest.lend())
        self.port = self._member.hear("listening")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def end(self):
        """Return why it gave up, at the latest when it was told that nobody will come any more."""
        with contextlib.suppress(RunError):
            self._member.channel.send({"do": "give up"})
        with pytest.raises(RunError) as caught:
            self._member.hear("resumed")
        return str(caught.value)

    def close(self):
        self._member.end()
        self._guest.end()


@pytest.fixture(params=["tls", "plain"])
def path(request, nursery, identity):
    """A destination, and the folder of a source that it would let in."""
    folder = identity if request.param == "tls" else None
    with contextlib.closing(Destination(nursery, folder)) as destination:
        yield destination, folder


def say_hello(destination, folder, **changes):
    """Return what a source hears when it introduces itself."""
    with secure(destination.connect(), folder, "source") as connection:
        sender, receiver = wire.Sender(connection), wire.Receiver(connection)
        sender.message(wire.HELLO, {"token": TOKEN, "memory_bytes": MIB, **changes})
        return receiver.receive()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": "0123456789abcdee"}, "the token is wrong; use the one that this destination was given"),
        ({"token": "\udcff\N{SNOWMAN}"}, "the token is wrong"),
        ({"token": None}, "the token is wrong"),
        ({"memory_bytes": 2 * MIB}, "the guest has 2097152 B of memory, this destination was prepared for 1 MiB"),
    ],
)
def test_a_wrong_introduction_is_refused_with_the_reason_to_both(path, changes, reason):
    answer = say_hello(*path, **changes)
    assert answer.kind == wire.REFUSE
    assert reason in answer.message["reason"]
    assert reason in path[0].end()


def test_after_one_who_was_refused_the_right_one_is_welcome(path):
    assert say_hello(*path, token="").kind == wire.REFUSE
    assert say_hello(*path).kind == wire.WELCOME


def test_the_right_introduction_is_welcome(path):
    assert say_hello(*path).kind == wire.WELCOME


def test_another_protocol_version_is_refused_with_the_reason_to_both(path):
    destination, folder = path
    first = int.from_bytes(b"MGK", "little") | 9 << 24 | wire.HELLO << 32
    with secure(destination.connect(), folder, "source") as connection:
        connection.sendall(struct.pack("<5q", first, 0, 0, 0, 0))
        reason = wire.Receiver(connection).receive(wire.ABORT).message["reason"]
    assert reason == "wire: protocol version 9; this side speaks 3; use one release on both"
    assert reason in destination.end()


def test_what_is_no_migration_is_refused(path):
    destination, folder = path
    with secure(destination.connect(), folder, "source") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: migkit.example\r\n\r\n")
        reason = wire.Receiver(connection).receive(wire.ABORT).message["reason"]
    assert reason == "wire: this is no migkit migration; the other side speaks something else"
    assert reason in destination.end()


def test_the_listener_serves_one_source_and_is_gone(path):
    destination, folder = path
    with secure(destination.connect(), folder, "source") as connection:
        wire.Sender(connection).message(wire.HELLO, {"token": TOKEN, "memory_bytes": MIB})
        assert wire.Receiver(connection).receive().kind == wire.WELCOME
        with pytest.raises(ConnectionRefusedError):
            destination.connect()


def sign(folder, name, begin_days):
    """Put a certificate that an authority of its own signed in the place of a side's, and trust that authority."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("an authority", "migkit-source")
    ]
    now = datetime.datetime.now(datetime.UTC)
    for at, (file, begin) in enumerate([("authority", -9), (name, begin_days)]):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(names[at])
            .issuer_name(names[0])
            .public_key(keys[at].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begin))
            .not_valid_after(now + datetime.timedelta(days=begin + (20 if at == 0 else 1)))
            .add_extension(x509.BasicConstraints(ca=at == 0, path_length=None), critical=True)
            .sign(keys[0], hashes.SHA256())
        )
        target = folder / f"{file}.crt"
        target.write_bytes((target.read_bytes() if at == 0 else b"") + certificate.public_bytes(PEM))
    (folder / f"{name}.key").write_bytes(keys[1].private_bytes(PEM, PKCS8, serialization.NoEncryption()))


@pytest.mark.parametrize(
    ("known", "begin_days", "at_source", "at_destination"),
    [
        (False, -0.5, "alert unknown ca", "self-signed certificate in certificate chain"),
        (True, -2, "alert certificate expired", "certificate has expired"),
        (True, 1, "alert bad certificate", "certificate is not yet valid"),
    ],
    ids=["another authority", "expired", "not yet valid"],
)
def test_a_wrong_certificate_is_refused_with_the_reason_to_both(
    nursery, identity, tmp_path, known, begin_days, at_source, at_destination
):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        shutil.copytree(identity, folder)
    sign(ours, "source", begin_days)
    if known:
        shutil.copy(ours / "authority.crt", theirs)
    with contextlib.closing(Destination(nursery, theirs)) as destination:
        with pytest.raises(RunError, match=f"tls: the connection was refused .*{at_source}"):
            say_hello(destination, ours)
        assert destination.end().endswith(f"was turned away: tls: the connection was refused ({at_destination})")


def test_a_certificate_that_is_known_and_valid_is_let_in(nursery, identity, tmp_path):
    folder = tmp_path / "ours"
    shutil.copytree(identity, folder)
    sign(folder, "source", -0.5)
    shutil.copy(identity / "destination.crt", folder)
    with contextlib.closing(Destination(nursery, folder)) as destination:
        assert say_hello(destination, folder).kind == wire.WELCOME


def test_a_source_without_a_certificate_is_refused_with_the_reason_to_both(nursery, identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(identity / "authority.crt")
    with contextlib.closing(Destination(nursery, identity)) as destination:
        with (
            context.wrap_socket(destination.connect()) as connection,
            pytest.raises(OSError, match="CERTIFICATE_REQ"),
        ):
            connection.recv(1)
        assert "peer did not return a certificate" in destination.end().replace("_", " ").lower()


def test_plain_text_does_not_pass_for_an_encrypted_connection(nursery, identity):
    with contextlib.closing(Destination(nursery, identity)) as destination:
        with destination.connect() as connection:
            wire.Sender(connection).message(wire.HELLO, {"token": TOKEN, "memory_bytes": MIB})
            assert select.select([connection], [], [], 10)[0]
        assert "tls: the connection was refused" in destination.end()


@pytest.mark.parametrize("folder", [True, False], ids=["tls", "plain"])
def test_a_caller_who_says_nothing_is_dropped_in_time(nursery, identity, folder):
    with contextlib.closing(Destination(nursery, identity if folder else None, 0.2)) as destination:
        with destination.connect() as connection:
            assert select.select([connection], [], [], 10)[0]
        assert "the last who was turned away: " in destination.end()


def test_a_header_that_promises_too_much_is_refused_before_anything_is_read(path):
    destination, folder = path
    first = int.from_bytes(b"MGK", "little") | wire.VERSION << 24 | wire.HELLO << 32
    with secure(destination.connect(), folder, "source") as connection:
        connection.sendall(struct.pack("<4q", first, 0, 0, wire.MAX_PAYLOAD_BYTES + 1))
        reason = wire.Receiver(connection).receive(wire.ABORT).message["reason"]
    assert "is too long" in reason
    assert wire.MAX_PAYLOAD_BYTES <= wire.FRAME_PAGES * page_loops.FULL_BYTES


def test_a_guest_without_registers_is_refused_with_the_reason_to_both(path):
    destination, folder = path
    with secure(destination.connect(), folder, "source") as connection:
        sender, receiver = wire.Sender(connection), wire.Receiver(connection)
        sender.message(wire.HELLO, {"token": TOKEN, "memory_bytes": MIB})
        assert receiver.receive().kind == wire.WELCOME
        sender.message(wire.PREPARE, {"full_pages": 0, "zero_pages": 0, "checksum": 0})
        reason = receiver.receive(wire.ABORT).message["reason"]
    assert reason == "wire: a PREPARE frame came before the registers of the guest"
    assert reason in destination.end()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({writers.CLASS: -7}, "class -7 is not within 0 to 0"),
        ({writers.COUNTS: 5, writers.WRITES: 5, writers.OPERATIONS: 5}, "number 16 is 5, but stands for nothing"),
        ({writers.OWED_NS: 1 << 62}, "granted time"),
    ],
)
def test_registers_that_no_such_guest_has_are_refused_with_the_reason_to_both(path, changes, reason):
    destination, folder = path
    registers = np.zeros(writers.REGISTERS, np.int64)
    registers[list(changes)] = list(changes.values())
    with secure(destination.connect(), folder, "source") as connection:
        sender, receiver = wire.Sender(connection), wire.Receiver(connection)
        sender.message(wire.HELLO, {"token": TOKEN, "memory_bytes": MIB})
        assert receiver.receive().kind == wire.WELCOME
        sender.blob(wire.STATE, registers.tobytes())
        said = receiver.receive(wire.ABORT).message["reason"]
    assert said.startswith(f"wire: a STATE frame holds registers that no such guest has: {reason}")
    assert said in destination.end()


@pytest.mark.parametrize(
    ("totals", "reason"),
    [
        ({"full_pages": 2}, r"wire: the source sent \[2, 0\] full and zero pages, \[1, 0\] arrived"),
        ({"checksum": 7}, "wire: the checksum of a round is wrong; other frames arrived than were sent"),
    ],
)
def test_a_round_that_is_not_whole_is_refused_with_the_reason_to_both(path, totals, reason):
    destination, folder = path
    with secure(destination.connect(), folder, "source") as connection:
        sender, receiver = wire.Sender(connection), wire.Receiver(connection)
        sender.message(wire.HELLO, {"token": TOKEN, "memory_bytes": MIB})
        assert receiver.receive().kind == wire.WELCOME
        sender.pages(np.ones(MIB // 8, np.int64), np.array([3]), 1, 0)
        right = {"full_pages": 1, "zero_pages": 0, "checksum": sender.checksum}
        sender.message(wire.ROUND, right)
        sender.message(wire.ROUND, right | totals)
        assert re.fullmatch(reason, receiver.receive(wire.ABORT).message["reason"])
    assert re.search(reason, destination.end())


def test_runs_are_encrypted_unless_plain_text_is_asked_for(nursery):
    for plaintext, path in ((False, "tls 127.0.0.1"), (True, "tcp 127.0.0.1")):
        trace = runs.run(SCENARIO, options=runs.Options(plaintext=plaintext), nursery=nursery)
        assert trace.machine["path"] == path
        assert trace.scenario.strategy.tls is not plaintext
        assert trace.outcome.verified


def test_plain_text_and_encryption_contradict_each_other():
    scenario = Scenario(guest=Guest(memory_bytes=MIB), strategy=Strategy(tls=True))
    with pytest.raises(UsageError, match=r"strategy\.tls: it is asked for, and so is plain text"):
        runs.run(scenario, options=runs.Options(plaintext=True))
