"""Damaged files: cut, flipped, filled, stretched, spliced; huge headers, bombs, files of other kinds."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np

LONGEST_RUN = 64  # bytes that are overwritten at once
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)  # sizes and counts that surprise


def cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data)))]


def flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for at in rng.integers(len(data), size=int(rng.integers(1, 6))):
        data[at] ^= 1 << int(rng.integers(8))
    return data


def flip_in_the_head(data: bytearray, rng: np.random.Generator) -> bytearray:
    for at in rng.integers(min(len(data), 400), size=int(rng.integers(1, 4))):
        data[at] = int(rng.integers(256))
    return data


def fill(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, length = int(rng.integers(len(data))), int(rng.integers(1, LONGEST_RUN))
    data[start : start + length] = bytes([int(rng.integers(256))]) * min(length, len(data) - start)
    return data


def stretch(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, LONGEST_RUN))) + data[at:]


def splice(data: bytearray, rng: np.random.Generator) -> bytearray:
    a, b = sorted(rng.integers(len(data), size=2).tolist())
    return data[:a] + data[b:]


def set_number(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = int(rng.integers(max(1, len(data) - 4)))
    number = NUMBERS[int(rng.integers(len(NUMBERS)))]
    data[at : at + 4] = struct.pack("<I" if rng.random() < 0.5 else ">I", number)
    return data


DAMAGES: tuple[Callable, ...] = (cut, flip, flip_in_the_head, fill, stretch, splice, set_number)


def damaged(whole: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of damaged files. whole: by name, the files that are damaged."""
    rng = np.random.default_rng(seed)
    names = sorted(whole)
    for number in range(count):
        name = names[number % len(names)]
        data = bytearray(whole[name])
        for _ in range(int(rng.integers(1, 4))):
            if data:
                data = DAMAGES[int(rng.integers(len(DAMAGES)))](data, rng)
        yield name, bytes(data)


def zip_bomb(megabytes: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in ("x/data.pkl", "x/version", "x/data/0"):
            archive.writestr(member, bytes(megabytes << 20))
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises more pixels than there are."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    pixels = zlib.compress(bytes(1000))
    body = b"IDAT" + pixels
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk)),
            struct.pack(">I", len(pixels)) + body + struct.pack(">I", zlib.crc32(body)),
        )
    )


HOSTILE = {  # files that are the same for every door
    "nothing": b"",
    "zeros": bytes(5000),
    "text": b"These are not the bytes you are looking for.\n" * 50,
    "a web page": b"<!DOCTYPE html><html><body>404</body></html>" * 20,
    "a zip bomb": zip_bomb(64),
    "a gzip bomb": gzip.compress(bytes(32 << 20)),
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "a header without an end": struct.pack("<Q", 1 << 40) + b"{" + b" " * 500,
    "a header of nothing": struct.pack("<Q", 2) + b"{}",
    "deep brackets": struct.pack("<Q", 20_000) + b'{"a":' + b"[" * 19_995,
    "a tensor beyond the end": struct.pack("<Q", 65)
    + b'{"a":{"dtype":"F32","shape":[999999999],"data_offsets":[0,3999999996]}}'[:65],
    "a huge image": png_of(60_000, 60_000),
    "an image beyond all limits": png_of(0x7FFFFFFF, 0x7FFFFFFF),
    "a bare pickle": b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "a script": b"#!/bin/sh\ntouch /tmp/sam2nb-was-here\n",
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "an SDP file": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    "an SVG image": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
}
