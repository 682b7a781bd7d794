"""The shortcut of pages on demand: the bytes and counts of the usual way; what is not just as it must be stays."""

import mmap
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from migkit.errors import RunError
from migkit.harness import probe
from migkit.harness.linux.userfaultfd import Mode, Userfaultfd
from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import Connection
from migkit.harness.protocol.wire import Sender, WireError
from migkit.harness.sides import shortcut
from migkit.jit import compile_kernels
from tests.conftest import require

PAGE = 4096
PAGES = 8


@pytest.fixture(autouse=True)
def compiled():
    compile_kernels()


@pytest.fixture
def pair():
    """Both ends of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    for sock in (near, far):
        wire.set_patience(sock, 1.0)
    with near, far:
        yield Connection(near), Connection(far)


class Source:
    """The source's end, with a guest whose pages but one hold something."""

    def __init__(self, connection, prefetch_pages=0):
        self.memory = np.arange(PAGES * page_loops.PAGE_WORDS) + 1
        self.memory[6 * page_loops.PAGE_WORDS : 7 * page_loops.PAGE_WORDS] = 0
        self.bitmap, self.holes = np.ones(PAGES, np.uint8), np.zeros(PAGES, np.uint8)
        self.headers, self.tally = np.zeros(1 + prefetch_pages, np.int64), np.zeros(2, np.int64)
        pages = self.memory, self.bitmap, self.holes, self.headers, self.tally
        self.end = shortcut.Answers(connection, connection.sender, pages)


class Nowhere:
    """The descriptor of a guest none of whose pages is placed."""

    def fileno(self):
        return -1


def recorded(*send):
    """Return the bytes that a sender sends for what is done with it."""
    near, far = socket.socketpair()
    with near, far:
        sender = Sender(near)
        for each in send:
            each(sender)
        return far.recv(1 << 20)


def demanded(*pages):
    return lambda sender: sender.blob(wire.DEMAND, np.array(pages, np.int64).tobytes())


def altered(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_demand_is_what_the_usual_way_sends(pair):
    near, far = pair
    for page in (3, 5):
        shortcut.Demands(near, Nowhere(), 0, PAGES).ask(page)
        assert far.receiver.receive(wire.DEMAND).words.tolist() == [page]
    assert (near.sender.frames, near.sender.bytes) == (2, 2 * 48)


@pytest.mark.parametrize("prefetch_pages", [0, 2])
def test_an_answer_is_what_the_usual_way_sends(pair, prefetch_pages):
    near, far = pair
    source, said, sums = Source(far, prefetch_pages), [], []
    for turn, page in enumerate((3, 0)):
        demanded(page)(near.sender)
        names = np.arange(page, page + 1 + prefetch_pages)
        taken, sent_bytes = source.end.answer()
        assert taken
        frame = near.receiver.receive(wire.PAGES)
        assert frame.headers.tolist() == names.tolist()
        assert wire.check_pages(frame, PAGES) == names.size
        assert (far.sender.frames, far.receiver.frames) == (turn + 1, turn + 1)
        assert sent_bytes == wire.FRAME_BYTES + names.size * page_loops.FULL_BYTES
        said.append(lambda sender, names=names: sender.pages(source.memory, names, names.size, 0, still=True))
        assert source.bitmap[names].tolist() == [0] * names.size
        sums.append(frame.checksum)
    assert far.sender.checksum == sum(sums) & page_loops.CHECKSUM_MASK
    assert far.sender.bytes == near.receiver.bytes == len(recorded(*said))


def test_a_page_that_was_sent_is_not_sent_again(pair):
    near, far = pair
    source = Source(far)
    demanded(4)(near.sender)
    demanded(4)(near.sender)
    assert source.end.answer() == (True, wire.FRAME_BYTES + page_loops.FULL_BYTES)
    assert source.end.answer() == (True, 0)
    assert source.tally.tolist() == [0, 0]


def test_a_zero_page_is_left_to_the_usual_way(pair):
    near, far = pair
    source = Source(far)
    demanded(6)(near.sender)
    assert source.end.answer() == (True, 0)
    assert source.tally.tolist() == [0, 1]
    assert source.headers[0] == page_loops.ZERO << page_loops.KIND_SHIFT | 6


@pytest.mark.parametrize("pages", [(PAGES,), (-1,), (1, 2), ()])
def test_a_demand_for_anything_but_one_page_of_the_guest_stays(pair, pages):
    near, far = pair
    demanded(*pages)(near.sender)
    assert Source(far).end.answer() == (False, 0)
    assert far.receiver.receive(wire.DEMAND).words.tolist() == list(pages)


def test_no_altered_demand_is_taken(pair):
    near, far = pair
    data = recorded(demanded(3))
    source = Source(far)
    for at in range(len(data)):
        near.socket.sendall(altered(data, at))
        assert source.end.answer() == (False, 0)
        assert far.socket.recv(len(data), socket.MSG_WAITALL) == altered(data, at)
    assert source.bitmap.all()


def test_a_demand_out_of_turn_or_not_all_there_stays(pair):
    near, far = pair
    source = Source(far)
    second = recorded(demanded(3), demanded(4))[48:]
    near.socket.sendall(second)
    assert source.end.answer() == (False, 0)
    with pytest.raises(WireError, match="frame 1 came where 0 was due"):
        far.receiver.receive(wire.DEMAND)
    near.socket.sendall(second[:-1])
    assert source.end.answer() == (False, 0)


def test_a_connection_that_is_lost_is_told_by_the_usual_way(pair):
    near, far = pair
    near.close()
    assert Source(far).end.answer() == (False, 0)
    with pytest.raises(wire.ConnectionLostError, match="closed by the other side"):
        far.receiver.receive(wire.DEMAND)
    far.cut()
    with pytest.raises(wire.ConnectionLostError, match="lost while sending"):
        shortcut.Demands(far, Nowhere(), 0, PAGES).ask(1)


@pytest.mark.live
class TestPlacing:
    """A page that comes, put into memory that lacks it."""

    @pytest.fixture
    def target(self):
        require(probe.probe("uffd-missing").available, probe.probe("uffd-missing").reason)
        memory = np.frombuffer(mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.int64)
        with Userfaultfd.create(user_mode_only=True) as uffd:
            uffd.register(memory.ctypes.data, PAGES * PAGE, Mode.MISSING)
            yield memory, uffd

    def test_it_is_placed_once(self, pair, target):
        near, far = pair
        memory, uffd = target
        source = Source(near)
        end = shortcut.Demands(far, uffd, memory.ctypes.data, PAGES)
        for placed in (True, False):
            near.sender.pages(source.memory, np.array([5]), 1, 0)
            assert end.take() == 5
            assert end.placed == placed
        assert np.array_equal(memory[5 * 512 : 6 * 512], source.memory[5 * 512 : 6 * 512])
        assert (far.receiver.frames, far.receiver.bytes) == (2, near.sender.bytes)
        with pytest.raises(FileExistsError):
            uffd.copy(memory.ctypes.data + 5 * PAGE, end.body, PAGE)

    def test_no_altered_page_is_taken(self, pair, target):
        near, far = pair
        memory, uffd = target
        end = shortcut.Demands(far, uffd, memory.ctypes.data, PAGES)
        data = recorded(lambda sender: sender.pages(Source(near).memory, np.array([5]), 1, 0))
        for at in (*range(48), *range(48, len(data), 97), len(data) - 1):
            near.socket.sendall(altered(data, at))
            assert end.take() == -1
            assert far.socket.recv(len(data), socket.MSG_WAITALL) == altered(data, at)
        assert uffd.zero(memory.ctypes.data, PAGES * PAGE) == PAGES * PAGE, "a page was placed"

    def test_a_page_beyond_the_memory_and_other_frames_stay(self, pair, target):
        near, far = pair
        memory, uffd = target
        end = shortcut.Demands(far, uffd, memory.ctypes.data, 5)
        near.sender.pages(Source(near).memory, np.array([5]), 1, 0)
        assert end.take() == -1
        with pytest.raises(WireError, match="a page beyond the guest's memory"):
            wire.check_pages(far.receiver.receive(wire.PAGES), 5)
        near.sender.message(wire.ABORT, {"reason": "no"})
        assert end.take() == -1
        with pytest.raises(RunError, match="gave up: no"):
            far.receiver.receive(wire.PAGES)


PLAIN = """
import socket
import numpy as np
from migkit.harness.sides import shortcut
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import Connection
near, far = (Connection(end) for end in socket.socketpair())
near.socket.settimeout(1.0)
shortcut.Demands(near, near, 0, 1).ask(0)
bitmap, holes = np.ones(1, np.uint8), np.zeros(1, np.uint8)
pages = np.ones(512, np.int64), bitmap, holes, np.zeros(1, np.int64), np.zeros(2, np.int64)
print(shortcut.Answers(far, far.sender, pages).answer(), far.receiver.receive(wire.DEMAND).words, bitmap)
"""


def test_plain_python_leaves_all_to_the_usual_way():
    plain = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    assert subprocess.check_output([sys.executable, "-c", PLAIN], env=plain, text=True) == "(False, 0) [0] [1]\n"
