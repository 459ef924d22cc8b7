"""The journal: an append-only file of events. What it holds is what happened; replay gives the state back.

Each frame is ``length u32 | CRC-32 u32 | msgpack``, little-endian, where the msgpack is one event or a map
of worker to the last number heard of it. A frame's sum covers its length too, so that a damaged length
is seen. Nothing in it is code.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from core.contract.events.event_types import AnyEvent, Event

HEAD = struct.Struct("<II")
MAGIC = b"trimtab journal 1\n"
LARGEST_FRAME_BYTES = 64 << 20
_encode = msgspec.msgpack.Encoder().encode


class _Heard(msgspec.Struct, frozen=True, tag="heard"):
    """The last number durable of each worker."""

    numbers: dict[str, int]


_decoder = msgspec.msgpack.Decoder(AnyEvent | _Heard)


class Unfit(ValueError):
    """An event that could not be read again, with the reason."""


def frame(record: object) -> bytes:
    """``record`` as it stands in a journal. Raises Unfit where a replay could not read it."""
    try:
        body = _encode(record)
        _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise Unfit(f"{type(record).__name__} cannot be kept: {error}") from error
    if len(body) > LARGEST_FRAME_BYTES:
        raise Unfit(f"{type(record).__name__} cannot be kept: it has {len(body)} bytes")
    size = struct.pack("<I", len(body))
    return HEAD.pack(len(body), zlib.crc32(body, zlib.crc32(size))) + body


class Journal:
    """One study's journal, opened by its one writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[str] = []  # words on damage found by replay
        self.heard: dict[str, int] = {}  # last durable number by worker
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._end = 0

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open or make the journal at ``path``. Raises OSError."""
        return cls(path)

    def replay(self) -> Iterator[AnyEvent]:
        """Every event in order; to be used up once, before the first ``append``.

        A tail cut off in mid-record (the machine went down while it was written) is removed; a damaged
        record in the middle is skipped. Both are told in ``faults``.
        """
        raw = self.path.read_bytes()
        if not raw:
            self._write(0, MAGIC)
            return
        reader = _Reader(raw)
        yield from reader.events()
        self.heard = reader.heard
        self.faults = reader.faults
        self._end = reader.good
        if reader.good < len(raw):
            self.faults.append(
                f"the journal's last {len(raw) - reader.good} bytes were cut off: not a whole record"
            )
            os.ftruncate(self._file, reader.good)
            os.fsync(self._file)

    def append(self, events: Sequence[Event], heard: dict[str, int] | None = None) -> None:
        """Write ``events`` and ``heard`` in one piece and have them on disk when this returns.

        Raises OSError (a full disk) with the journal as it was before: the same batch may be tried again.
        Raises Unfit, with nothing written, for an event that could not be read again.
        """
        self.append_frames([frame(event) for event in events], heard)

    def append_frames(self, frames: Sequence[bytes], heard: dict[str, int] | None = None) -> None:
        """``append`` of what ``frame`` gave."""
        frames = [*frames, frame(_Heard(heard))] if heard else frames
        self._write(self._end, b"".join(frames))
        self.heard.update(heard or {})

    def _write(self, at: int, raw: bytes) -> None:
        try:
            done = 0
            while done < len(raw):
                done += os.pwrite(self._file, raw[done:], at + done)
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, at)
            raise
        self._end = at + len(raw)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)


class _Reader:
    """Walks over the frames of a journal; finds the next whole frame after a damaged one."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.good = 0  # end of the last whole frame
        self.heard: dict[str, int] = {}
        self.faults: list[str] = []

    def events(self) -> Iterator[AnyEvent]:
        place = len(MAGIC) if self._raw.startswith(MAGIC) else 0
        self.good = place
        while place < len(self._raw):
            body = self._body(place)
            if body is None:
                place = self._next_whole(place)
                continue
            place += HEAD.size + len(body)
            self.good = place
            try:
                record = _decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
                self.faults.append(f"the journal holds a record that this version cannot read: {error}")
                continue
            if isinstance(record, _Heard):
                self.heard.update(record.numbers)
            else:
                yield record

    def _body(self, place: int) -> bytes | None:
        """The frame's content at ``place``; None when no whole frame stands there."""
        if place + HEAD.size > len(self._raw):
            return None
        size, expected = HEAD.unpack_from(self._raw, place)
        body = self._raw[place + HEAD.size : place + HEAD.size + size]
        if size > LARGEST_FRAME_BYTES or len(body) < size:
            return None
        found = zlib.crc32(body, zlib.crc32(struct.pack("<I", size)))
        return body if found == expected else None

    def _next_whole(self, damaged: int) -> int:
        """Where frames go on after damage; the end of the file when they do not."""
        for place in range(damaged + 1, len(self._raw) - HEAD.size):
            body = self._body(place)
            if body and body[0] & 0xF0 in (0x80, 0xD0):  # a msgpack map: not the sum of nothing
                self.faults.append(
                    f"the journal is damaged: {place - damaged} bytes at {damaged} were skipped"
                )
                return place
        return len(self._raw)


def read(path: Path) -> Iterator[AnyEvent]:
    """The events of a journal that somebody else may be writing. Changes nothing; damage is passed over."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    yield from _Reader(raw).events()
