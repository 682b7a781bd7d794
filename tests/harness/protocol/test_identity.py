import datetime
import socket
import threading

import pytest
from cryptography import x509

from migkit.errors import RunError
from migkit.harness.protocol.identity import make_identities, secure


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    for folder in made:
        make_identities(folder)
    return made


def meet(source, destination, sides=("source", "destination")):
    """Return what each side of a socket pair came to."""
    ends, results = socket.socketpair(), {}

    def play(end, folder, side, at):
        try:
            results[at] = secure(end, folder, side)
        except RunError as error:
            results[at] = error
            end.close()

    threads = [
        threading.Thread(target=play, args=(*each, at))
        for at, each in enumerate(zip(ends, (source, destination), sides, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results.values():
        if not isinstance(result, RunError):
            result.close()
    return [results[at] for at in (0, 1)]


def test_two_identities_of_one_authority_meet_over_tls_1_3(folders):
    source, destination = meet(folders[0], folders[0])
    assert not isinstance(source, RunError)
    assert not isinstance(destination, RunError)


@pytest.mark.parametrize(("source", "destination"), [(0, 1), (1, 0)])
def test_a_certificate_of_another_authority_is_refused_by_both(folders, source, destination):
    for result in meet(folders[source], folders[destination]):
        assert isinstance(result, RunError)
        assert str(result).startswith("tls: ")


def test_a_clock_that_jumps_by_decades_does_not_end_a_certificate(folders):
    decades = datetime.timedelta(days=50 * 365)
    now = datetime.datetime.now(datetime.UTC)
    for path in folders[0].glob("*.crt"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        assert certificate.not_valid_before_utc < now - decades
        assert certificate.not_valid_after_utc > now + decades


def test_keys_are_for_their_owner_alone_and_the_authority_keeps_none(folders):
    assert sorted(path.name for path in folders[0].glob("*.key")) == ["destination.key", "source.key"]
    assert {path.stat().st_mode & 0o777 for path in folders[0].glob("*.key")} == {0o600}


def test_a_destination_cannot_pose_as_a_source(folders, tmp_path):
    for name in ("authority.crt", "destination.crt", "destination.key"):
        target = tmp_path / name.replace("destination", "source")
        target.write_bytes((folders[0] / name).read_bytes())
    _, destination = meet(tmp_path, folders[0])
    assert isinstance(destination, RunError)
    assert "the other side is not migkit-source" in str(destination)
