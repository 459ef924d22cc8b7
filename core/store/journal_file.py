"""The journal: an append-only file of events, from which a replay rebuilds the state.

Each frame is ``length u32 | CRC-32 u32 | msgpack``, little-endian, where the msgpack is one event or a map
of worker to the number of its last durable message. A frame's checksum covers its length too, so that a
damaged length is detected. Nothing in it is executable.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from core.contract.events.event_types import AnyEvent, Event

HEAD = struct.Struct("<II")
MAGIC = b"trimtab journal 1\n"
LARGEST_FRAME_BYTES = 64 << 20
_encode = msgspec.msgpack.Encoder().encode


class _Heard(msgspec.Struct, frozen=True, tag="heard"):
    """The number of the last durable message of each worker."""

    numbers: dict[str, int]


_decoder = msgspec.msgpack.Decoder(AnyEvent | _Heard)


class Unfit(ValueError):
    """An event that could not be read back, with the reason."""


def make_frame(record: object) -> bytes:
    """Encode ``record`` as a frame. Raises Unfit if a replay could not read it."""
    try:
        body = _encode(record)
        _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise Unfit(f"{type(record).__name__} cannot be stored: {error}") from error
    if len(body) > LARGEST_FRAME_BYTES:
        raise Unfit(f"{type(record).__name__} cannot be stored: its {len(body)} bytes are too many")
    size = struct.pack("<I", len(body))
    return HEAD.pack(len(body), zlib.crc32(body, zlib.crc32(size))) + body


class Journal:
    """One study's journal, opened by its only writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[str] = []  # texts on damage that replay found
        self.heard: dict[str, int] = {}  # last durable number by worker
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._end = 0

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open or create the journal at ``path``. Raises OSError."""
        return cls(path)

    def replay(self) -> Iterator[AnyEvent]:
        """Yield every event in order. Consume it once, before the first ``append``.

        A truncated last record (from a crash during the write) is removed; a damaged record in the middle is
        skipped. Both are listed in ``faults``.
        """
        raw = self.path.read_bytes()
        if not raw:
            self._write(0, MAGIC)
            return
        reader = _Reader(raw)
        yield from reader.read_events()
        self.heard = reader.heard
        self.faults = reader.faults
        self._end = reader.good
        if reader.good < len(raw):
            self.faults.append(
                f"the journal's last {len(raw) - reader.good} bytes were removed: an incomplete record"
            )
            os.ftruncate(self._file, reader.good)
            os.fsync(self._file)

    def append(self, events: Sequence[Event], heard: dict[str, int] | None = None) -> None:
        """Write ``events`` and ``heard`` in one piece; they are durable when this returns.

        Raises OSError (such as a full disk) with the journal unchanged: the same batch may be tried again.
        Raises Unfit, with nothing written, for an event that could not be read back.
        """
        self.append_frames([make_frame(event) for event in events], heard)

    def append_frames(self, frames: Sequence[bytes], heard: dict[str, int] | None = None) -> None:
        """Append frames that ``make_frame`` made, as ``append`` does with events."""
        frames = [*frames, make_frame(_Heard(heard))] if heard else frames
        self._write(self._end, b"".join(frames))
        self.heard.update(heard or {})

    def _write(self, at: int, raw: bytes) -> None:
        try:
            written = 0
            while written < len(raw):
                written += os.pwrite(self._file, raw[written:], at + written)
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, at)
            raise
        self._end = at + len(raw)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class _Reader:
    """Iterates over the frames of a journal; finds the next valid frame after a damaged one."""

    def __init__(self, raw: bytes, without: Collection[str] = ()) -> None:
        self._raw = raw
        self._without = tuple(b"\xa4type" + _encode(tag) for tag in without)
        self.good = 0  # end of the last valid frame
        self.heard: dict[str, int] = {}
        self.faults: list[str] = []

    def read_events(self) -> Iterator[AnyEvent]:
        place = len(MAGIC) if self._raw.startswith(MAGIC) else 0
        self.good = place
        while place < len(self._raw):
            body = self._read_body(place)
            if body is None:
                place = self._find_next_frame(place)
                continue
            place += HEAD.size + len(body)
            self.good = place
            if self._without and body.startswith(self._without, 1 if body[0] & 0xF0 == 0x80 else 3):
                continue  # a map of up to 15 fields has a head of 1 byte, a longer one of 3
            try:
                record = _decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
                self.faults.append(f"the journal has a record that this version cannot read: {error}")
                continue
            if isinstance(record, _Heard):
                self.heard.update(record.numbers)
            else:
                yield record

    def _read_body(self, place: int) -> bytes | None:
        """Return the content of the frame at ``place``; None if there is no valid frame."""
        if place + HEAD.size > len(self._raw):
            return None
        size, expected = HEAD.unpack_from(self._raw, place)
        body = self._raw[place + HEAD.size : place + HEAD.size + size]
        if size > LARGEST_FRAME_BYTES or len(body) < size:
            return None
        checksum = zlib.crc32(body, zlib.crc32(struct.pack("<I", size)))
        return body if checksum == expected else None

    def _find_next_frame(self, damaged: int) -> int:
        """Return the position of the next valid frame after damage; the end of the file if there is none."""
        for place in range(damaged + 1, len(self._raw) - HEAD.size):
            body = self._read_body(place)
            if body and body[0] & 0xF0 in (
                0x80,
                0xD0,
            ):  # a msgpack map: zeros would match the checksum of nothing
                self.faults.append(
                    f"the journal is damaged: {place - damaged} bytes at {damaged} were skipped"
                )
                return place
        return len(self._raw)


def read(path: Path, without: Collection[str] = ()) -> Iterator[AnyEvent]:
    """The events of a journal that another process may be writing. Changes nothing; damage is skipped.

    Events with a tag in ``without``, such as readings, which are most of a journal, are not even decoded.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    yield from _Reader(raw, without).read_events()
