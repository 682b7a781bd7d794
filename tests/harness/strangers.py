"""Strangers at the destination's door, for as long as a migration takes."""

import contextlib
import select
import socket
import threading
import time

KINDS = ("closes", "silent", "rude", "wrong-tls", "slow")
_RUDE = b"GET / HTTP/1.1\r\nHost: migkit.example\r\n\r\n" * 20
_CLIENT_HELLO = bytes.fromhex("160301002f0100002b0303") + bytes(37)
_SAYS = {"closes": b"", "silent": b"", "rude": _RUDE, "wrong-tls": _CLIENT_HELLO, "slow": b"M"}


def free_port():
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Strangers:
    """Up to ``count`` of a kind knock at a port at the same time, again and again, whenever somebody listens there.

    Attributes
    ----------
    met
        How many were let knock.
    """

    def __init__(self, port, kind, count):
        self.port, self.kind, self.count = port, kind, count
        self.met = 0
        self._inside = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._knock)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        for each in self._inside:
            each.close()

    def _knock(self):
        while not self._over.wait(0.001):
            self._inside = [each for each in self._inside if self._is_held(each)]
            while len(self._inside) < self.count and self._enter():
                continue

    def _enter(self):
        """Knock once; say whether somebody was there."""
        try:
            visitor = socket.create_connection(("127.0.0.1", self.port), timeout=0.2)
        except OSError:
            return False
        self.met += 1
        visitor.setblocking(False)
        with contextlib.suppress(OSError):
            visitor.send(_SAYS[self.kind])
        if self.kind == "closes":
            visitor.close()
            time.sleep(0.001)
        else:
            self._inside.append(visitor)
        return not self._over.is_set()

    def _is_held(self, visitor):
        """Say more if it is a slow one; say whether it was not closed by the other side."""
        try:
            if self.kind == "slow" and not select.select([visitor], [], [], 0)[0]:
                visitor.send(b"G")
            held = not select.select([visitor], [], [], 0)[0] or bool(visitor.recv(1 << 16))
        except OSError:
            held = False
        if not held:
            visitor.close()
        return held
