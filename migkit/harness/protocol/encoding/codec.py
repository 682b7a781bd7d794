"""Compression of whole frames: zlib always, zstd and lz4 where their packages are installed."""

from __future__ import annotations

import dataclasses
import importlib
import zlib
from collections.abc import Callable
from typing import Any, Final

from migkit.errors import UsageError

__all__ = ["CODES", "Codec", "by_code", "by_name"]

CODES: Final = {1: "zlib", 2: "zstd", 3: "lz4"}
_PACKAGES: Final = {"zstd": "zstandard", "lz4": "lz4.block"}


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """One compressor at its fastest level.

    Attributes
    ----------
    code
        Its number on the wire.
    compress
        Bytes to compressed bytes.
    expand
        Compressed bytes and the size that must come out [B] to bytes; it never makes more than that,
        and raises ValueError for what it cannot expand.
    """

    code: int
    compress: Callable[[Any], bytes]
    expand: Callable[[Any, int], bytes]


def by_name(name: str) -> Codec | None:
    """Return a compressor; None for ``none``.

    Raises
    ------
    UsageError
        Its package is not installed.

    Examples
    --------
    >>> codec = by_name("zlib")
    >>> codec.expand(codec.compress(bytes(4096)), 4096) == bytes(4096)
    True
    """
    if name == "none":
        return None
    code = next(code for code, known in CODES.items() if known == name)
    if name == "zlib":
        return Codec(code, lambda data: zlib.compress(data, 1), _expand_zlib)
    try:
        package: Any = importlib.import_module(_PACKAGES[name])
    except ImportError as error:
        raise UsageError(
            f'strategy.compression: "{name}" needs a package that is not installed; pip install "migkit[compress]"'
        ) from error
    if name == "zstd":
        return Codec(code, _compress_zstd(package), _expand_zstd(package))
    return Codec(code, lambda data: package.compress(data, store_size=False), _expand_lz4(package))


def by_code(code: int) -> Codec | None:
    """Return the compressor with this number on the wire; None when there is none."""
    return by_name(CODES[code]) if code in CODES else None


def _expand_zlib(data: Any, size: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, size)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _compress_zstd(package: Any) -> Callable[[Any], bytes]:
    def compress(data: Any) -> bytes:
        return bytes(package.ZstdCompressor(level=1).compress(data))  # anew: streams must not share one

    return compress


def _expand_zstd(package: Any) -> Callable[[Any, int], bytes]:
    def expand(data: Any, size: int) -> bytes:
        try:
            if package.frame_content_size(data) != size:
                raise ValueError("another size than announced")
            return bytes(package.ZstdDecompressor().decompress(data, max_output_size=size))
        except package.ZstdError as error:
            raise ValueError(str(error)) from error

    return expand


def _expand_lz4(package: Any) -> Callable[[Any, int], bytes]:
    def expand(data: Any, size: int) -> bytes:
        try:
            return bytes(package.decompress(data, uncompressed_size=size))
        except package.LZ4BlockError as error:
            raise ValueError(str(error)) from error

    return expand
