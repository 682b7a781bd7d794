"""Altered logs for all importers: what they say may be nonsense, but only documented errors come out.

    python -m tests.verification.fuzz_importers --inputs 1000000 --jobs 2

Inputs are the logs of the importers' tests, altered by line, by token, by value, by encoding and by splicing one log
into another. Each must give records whose frame, words and JSON are whole, or one documented error in one line.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from migkit.cli.import_ import _json
from migkit.errors import TraceError
from migkit.importers import read
from migkit.importers.glossary import COLUMNS, RATE_COLUMNS
from migkit.importers.summary import summary

DATA = Path(__file__).parents[1] / "importers" / "data"
MEMORY_BYTES = 4 << 30
HANG_S = 20
MOST_BYTES = 1 << 14
WORDY = 10  # every tenth is put into words too, which takes longer than reading
PHASES = {"setup", "precopy", "stopcopy", "postcopy", "done", "other"}
NUMBER = re.compile(rb"\d+(?:\.\d+)?")
WORD = re.compile(rb'"[^"\n]{1,40}"|[A-Za-z][\w -]{2,30}')
NUMBERS = [
    *(b"0 -1 1 4096 18446744073709551615 9223372036854775808 1e999 -nan NaN inf 0.1 1,5".split()),
    b"9" * 40,
    b"9" * 5000,
    b"[7, 8.5]",
]
TOKENS = [
    *(
        b"null true None True [] {} [[ ]] \" ' , : = ( ) \\ \xff \x00 \x1b[2J \xe2\x80\xae active completed".split(
            b" "
        )
    ),
    b"{" * 500,
    b"[" * 500,
    b'{"return": ' * 100,
    b'"status"',
    b'"ram": {}',
    b"2024-02-30 25:61:61 ",
    b"Feb 29 12:00:00 host a[1]: ",
    b"1e308 GiB",
    b"(qemu) info migrate",
    b"\n\n",
]


def seeds() -> list[bytes]:
    """Return the logs that are altered, without the packing of those that are packed."""
    raw = [path.read_bytes() for path in sorted(DATA.rglob("*")) if path.is_file() and path.suffix != ".md"]
    return [(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)[:MOST_BYTES] for data in raw]


def altered(corpus: list[bytes], draw: random.Random) -> bytes:
    """Return a log with a few things done to it."""
    data = draw.choice(corpus)
    for _ in range(1 << draw.randrange(4)):
        data = draw.choice(CHANGES)(data, corpus, draw)[:MOST_BYTES]
    return draw.choice(CODINGS)(data) if draw.random() < 0.1 else data


def _lines(data: bytes, corpus: list[bytes], draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(4):
        case 0:
            del lines[at : at + draw.randrange(1, 4)]
        case 1:
            lines.insert(at, lines[other])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at : at + 1] = draw.choice(corpus).split(b"\n")[: draw.randrange(1, 9)]
    return b"\n".join(lines)


def _in_place(pattern: re.Pattern[bytes], choices: list[bytes]):
    def change(data: bytes, corpus: list[bytes], draw: random.Random) -> bytes:
        found = [match.span() for match in pattern.finditer(data)]
        if not found:
            return data
        first, last = draw.choice(found)
        return data[:first] + draw.choice(choices) + data[last:]

    return change


def _bytes(data: bytes, corpus: list[bytes], draw: random.Random) -> bytes:
    at, length = draw.randrange(len(data) + 1), 1 << draw.randrange(7)
    match draw.randrange(4):
        case 0:
            return data[:at] + data[at + length :]
        case 1:
            return data[:at] + draw.randbytes(length) + data[at + length :]
        case 2:
            return data[:at] + draw.choice(TOKENS) + data[at:]
        case _:
            return data[:at]


def _values(data: bytes, corpus: list[bytes], draw: random.Random) -> bytes:
    """Change what an object holds, and keep it an object."""
    try:
        value = json.loads(data.split(b"\n")[0])
    except (ValueError, RecursionError):
        return data
    return json.dumps(_changed(value, draw, 0)).encode() + b"\n" + data


def _changed(value: object, draw: random.Random, depth: int) -> object:
    if draw.random() < 0.1 or depth > 6:
        strange = [None, True, -1, 1.5, 10**30, "", "active", [], {}, [1, [2]], {"ram": {"total": []}}, float("nan")]
        return draw.choice(strange)
    if isinstance(value, dict):
        return {key: _changed(held, draw, depth + 1) for key, held in value.items() if draw.random() < 0.95}
    if isinstance(value, list):
        return [_changed(held, draw, depth + 1) for held in value]
    return value


CHANGES = (_lines, _in_place(NUMBER, NUMBERS), _in_place(WORD, TOKENS), _bytes, _values)
CODINGS = (
    lambda data: gzip.compress(data, 1),
    lambda data: gzip.compress(data, 1)[:-9],
    lambda data: data.decode("utf-8", "replace").encode("utf-16"),
    lambda data: data.decode("utf-8", "replace").encode("utf-16-le"),
    lambda data: b"\xef\xbb\xbf" + data,
    lambda data: data.replace(b"\n", b"\r\n"),
    lambda data: b"PAR1" + data + b"PAR1",
)


def check(data: bytes, in_words: bool = True) -> bool:
    """Read a log, and if asked put it into words and JSON; return whether it was understood.

    Raises
    ------
    Exception
        Whatever is no documented error.
    """
    try:
        logs = read(data)
    except TraceError as error:
        if not str(error).isprintable():
            raise AssertionError(f"a message of several lines: {error!r}") from error
        return False
    assert logs
    for log in logs:
        wanted = COLUMNS if log.kind == "migration" else RATE_COLUMNS
        assert set(log.frame.columns) <= set(wanted)
        assert log.kind != "migration" or set(log.frame["phase"]) <= PHASES
        assert not in_words or all(line.isprintable() for line in summary(log).split("\n"))
    if in_words:
        json.loads(_json(logs))
    return True


def hunt(inputs: int, seed: int, keep: Path, hang_s: int = 0) -> int:
    """Feed the importers; return how many inputs they understood. The input under way is in ``keep``."""
    draw, corpus, understood = random.Random(seed), seeds(), 0
    for number in range(inputs):
        data = corpus[number] if number < len(corpus) else altered(corpus, draw)
        keep.write_bytes(data)
        if hang_s:
            signal.alarm(hang_s)  # its default ends the process
        understood += check(data, in_words=number % WORDY == 0)
    return understood


def _job(inputs: int, seed: int) -> int:
    """Hunt in a process of its own; return its number."""
    pid = os.fork()
    if pid:
        return pid
    code, keep, began_s = 1, Path(tempfile.gettempdir()) / f"migkit-fuzz-importers-{seed}", time.monotonic()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        understood = hunt(inputs, seed, keep, HANG_S)
        signal.alarm(0)
        print(
            f"seed {seed}: {inputs} inputs, {understood} understood, {time.monotonic() - began_s:.0f} s", flush=True
        )
        keep.unlink()
        code = 0
    finally:
        if code:
            traceback.print_exc()
            print(f"the input is in {keep}", flush=True)
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Fuzz from the command line; exit 1 when an input did what it must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    jobs = [_job(-(-asked.inputs // asked.jobs), asked.seed + at) for at in range(asked.jobs)]
    wrong = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in jobs]
    print("nothing but documented errors" if not any(wrong) else f"a job ended with {max(wrong, key=abs)}")
    sys.exit(1 if any(wrong) else 0)


if __name__ == "__main__":
    main()
