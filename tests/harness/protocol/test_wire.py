"""The wire decoder: what one side sends the other reads; anything else is a documented error."""

import random
import socket
import threading
import zlib

import numpy as np
import pytest

from migkit.errors import RunError
from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.wire import ConnectionLostError, Receiver, Sender, WireError
from migkit.jit import compile_kernels


class Recorded:
    """A socket that was written before it is read."""

    def __init__(self, data=b""):
        self.data = bytearray(data)

    def fileno(self):
        return -1

    def sendall(self, data, flags=0):
        self.data += data

    def recv_into(self, target, size=0, flags=0):
        got = min(len(target), len(self.data))
        target[:got] = self.data[:got]
        del self.data[:got]
        return got


def stream():
    sock = Recorded()
    sender = Sender(sock)
    sender.message(wire.HELLO, {"token": "t"})
    memory = np.arange(4 * 512)
    headers = np.array([1, (page_loops.ZERO << page_loops.KIND_SHIFT) | 3, 2])
    sender.pages(memory, headers, 2, 1)
    sender.blob(wire.STATE, b"abc")
    return bytes(sock.data)


def read(data, memory=None):
    """Decode a stream to its end, touching what a destination touches."""
    receiver = Receiver(Recorded(data), memory)
    while True:
        frame = receiver.receive(wire.HELLO, wire.PAGES, wire.STATE)
        if frame.kind == wire.PAGES:
            wire.check_pages(frame, 4, differences=True)
        elif frame.kind == wire.HELLO:
            assert frame.message == {"token": "t"}, "a sound frame with another message"


def test_frames_survive_and_cost_what_is_documented():
    data = stream()
    assert len(data) == 3 * wire.FRAME_BYTES + len('{"token": "t"}') + 2 * 4104 + 9 + 3
    with pytest.raises(ConnectionLostError, match="closed by the other side"):
        read(data)


@pytest.mark.parametrize("still", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("pages", [range(2, 30), range(1, 60, 2)], ids=["run", "scattered"])
def test_pages_arrive_as_they_were_copied_or_not_at_either_side(still, in_place, pages):
    memory = np.arange(64 * 512)
    memory[20 * 512 : 24 * 512] = 0
    bitmap, tally = np.zeros(64, np.uint8), np.zeros(2, np.int64)
    bitmap[list(pages)] = 1
    headers = np.zeros(64, np.int64)
    page_loops.select(memory, bitmap, np.zeros(64, np.uint8), 0, 1e9, headers, tally)
    sock, target = Recorded(), np.full(64 * 512, 7)
    cost = Sender(sock).pages(memory, headers, *tally.tolist(), still=still)
    assert cost == len(sock.data) == 40 + 4104 * tally[0] + 9 * tally[1]
    frame = Receiver(sock, target if in_place else None).receive(wire.PAGES)
    assert frame.placed == (in_place and len(pages) == 28)
    assert wire.check_pages(frame, 64) == tally[0]
    if not frame.placed:
        page_loops.scatter(frame.headers, frame.words[frame.count :], target)
    page_loops.settle(frame.headers, target, np.ones(64, np.uint8))
    expected = np.full(64 * 512, 7)
    for page in pages:
        expected[page * 512 : (page + 1) * 512] = memory[page * 512 : (page + 1) * 512]
    assert (target == expected).all()


@pytest.mark.parametrize("compiled", ["neither", "sender", "receiver", "both"])
@pytest.mark.parametrize("still", [False, True])
def test_frames_larger_than_what_a_socket_holds_arrive_compiled_or_not(still, compiled):
    compile_kernels()
    pages = 5 * wire.FRAME_PAGES
    memory, target = np.random.default_rng(5).integers(1, 1 << 60, pages * 512), np.zeros(pages * 512, np.int64)
    memory[512 * 700 : 512 * 720] = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        source = socket.create_connection(listener.getsockname())
        source.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        destination, _ = listener.accept()
    with source, destination:
        wire.set_patience(source, 30.0)
        sender = Sender(source if compiled in ("sender", "both") else Uncompiled(source))
        receiver = Receiver(destination if compiled in ("receiver", "both") else Uncompiled(destination), target)
        thread = threading.Thread(target=send_all, args=(sender, memory, still))
        thread.start()
        for _ in range(pages // wire.FRAME_PAGES):
            frame = receiver.receive(wire.PAGES)
            assert frame.placed
            wire.check_pages(frame, pages)
        thread.join()
    assert (target == memory).all()
    assert receiver.bytes == sender.bytes == 5 * 40 + (pages - 20) * 4104 + 20 * 9


class Uncompiled:
    """A connection that only Python reads and writes."""

    def __init__(self, sock):
        self.sendall, self.recv_into = sock.sendall, sock.recv_into

    def fileno(self):
        return -1


def send_all(sender, memory, still):
    pages = memory.size // 512
    bitmap, holes, tally = np.ones(pages, np.uint8), np.zeros(pages, np.uint8), np.zeros(2, np.int64)
    headers, position = np.zeros(wire.FRAME_PAGES, np.int64), 0
    while bitmap.any():
        position = page_loops.select(memory, bitmap, holes, position, 1e9, headers, tally)
        sender.pages(memory, headers, *tally.tolist(), still=still)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"GET ", "this is no migkit migration"),
        (3, b"\x63", "protocol version 99; this side speaks 3"),
        (4, b"\xff", "frame kind 255 is not known"),
        (8, b"\x05", "frame 5 came where 0 was due"),
        (29, b"\x7f", "is too long"),
        (37, b"!", "checksum of HELLO frame 0 is wrong"),
        (46, b"\x00\x01\x02\x03", "checksum of HELLO frame 0 is wrong"),
    ],
)
def test_what_is_not_allowed_is_named(at, value, message):
    data = bytearray(stream())
    data[at : at + len(value)] = value
    with pytest.raises(WireError, match=message):
        read(bytes(data))


def test_a_frame_out_of_place_is_named_and_a_refusal_says_its_reason():
    sock = Recorded()
    sender = Sender(sock)
    sender.message(wire.COMMIT)
    with pytest.raises(WireError, match="a COMMIT frame came where HELLO was due"):
        Receiver(sock).receive(wire.HELLO)
    sock = Recorded()
    Sender(sock).message(wire.REFUSE, {"reason": "the token is wrong"})
    with pytest.raises(RunError, match="the token is wrong"):
        Receiver(sock).receive(wire.WELCOME)


def altered(data, draw):
    """Return the stream with something done to it that a network or an enemy may do."""
    data = bytearray(data)
    at = draw.randrange(len(data))
    match draw.randrange(5):
        case 0:
            data[at] ^= 1 << draw.randrange(8)
        case 1:
            del data[at:]
        case 2:
            data[at:at] = draw.randbytes(draw.randrange(1, 64))
        case 3:
            length = draw.randrange(1, 64)
            data[at : at + length] = draw.randbytes(length)
        case 4:
            other = draw.randrange(len(data))
            length = draw.randrange(1, 512)
            data[at : at + length], data[other : other + length] = (
                data[other : other + length],
                data[at : at + length],
            )
    return bytes(data)


def sealed(draw):
    """Return a frame whose checksum is right and whose content is not."""
    sock = Recorded()
    sender = Sender(sock)
    data = draw.randbytes(draw.randrange(64))
    if draw.random() < 0.3:
        word = draw.randrange(5) << 32 | draw.choice([1, 40, 4104, wire.MAX_PAYLOAD_BYTES, 0xFFFFFFFF])
        data = word.to_bytes(8, "little") + draw.choice(
            [data, zlib.compress(bytes(40)), zlib.compress(bytes(1 << 20))]
        )
    sender._payload[: len(data) // 8 + 2] = 0
    sender._bytes[8 * wire.HEADER_WORDS : 8 * wire.HEADER_WORDS + len(data)] = data
    sender._send(draw.choice([wire.HELLO, wire.PAGES, wire.PACKED]), draw.randrange(6), len(data))
    return bytes(sock.data)


def fuzz(first, count):
    whole = stream()
    for number in range(first, first + count):
        draw = random.Random(number)
        memory = np.zeros(4 * 512, np.int64) if number % 3 else None
        with pytest.raises((RunError, AssertionError) if number % 2 else RunError):
            read(sealed(draw) if number % 2 else altered(whole, draw), memory)


def test_altered_streams_give_documented_errors():
    fuzz(0, 2000)


@pytest.mark.verification
def test_a_million_altered_streams_give_documented_errors():
    fuzz(0, 1_000_000)


@pytest.mark.live
def test_a_side_that_hears_nothing_takes_the_connection_for_lost():
    ours, theirs = socket.create_server(("127.0.0.1", 0)), []
    thread = threading.Thread(target=lambda: theirs.append(ours.accept()[0]))
    thread.start()
    client = socket.create_connection(ours.getsockname())
    thread.join()
    wire.set_patience(client, 0.05)
    with pytest.raises(ConnectionLostError, match="nothing moved for too long"):
        Receiver(client).receive()
    for each in (ours, client, *theirs):
        each.close()
