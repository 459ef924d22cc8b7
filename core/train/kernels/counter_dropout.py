"""Counter-based dropout: a hash of an element's position decides whether it is kept, not a random stream.

A mask is a function of (seed, micro-batch, row of the micro-batch, layer, position, channel). So it does not
depend on neighbours, padding or order, is recomputed in the backward pass instead of stored, and a resumed
trial has no random state to restore. The mixing is that of Wellons' lowbias32 and SplitMix64 (Steele 2014).
"""

from __future__ import annotations

import functools

import torch

WORD = 0xFFFFFFFF
POSITIONS, CHANNELS, PLACES = 0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35  # odd, well mixed
FIRST, SECOND = 0x7FEB352D, 0x846CA68B  # of lowbias32
MANY = 16  # layers whose positions are mixed at once; a power of two, for core.train.tracing.derive_formulas


def make_signed(word: int) -> int:
    """The 32 bits of ``word`` as torch.int32 holds them."""
    word &= WORD
    return word - (1 << 32) if word >> 31 else word


def make_row_key(seed: int, micro_batch: int, row: int) -> int:
    """The 32-bit key of a row of a trial's micro-batch."""
    word = (seed << 40) ^ (micro_batch << 12) ^ row
    word = (word + 0x9E3779B97F4A7C15) & (1 << 64) - 1
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & (1 << 64) - 1
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & (1 << 64) - 1
    return make_signed((word ^ word >> 31) >> 16)


def compute_threshold(dropout: float) -> int:
    """The hash below which an element is dropped."""
    return make_signed(round(dropout * 2**32) - 2**31)


def find_layer_word(place: int) -> int:
    """The word of a layer, as torch.int32 holds it."""
    return make_signed((place + 1) * PLACES)


def compute_scales(thresholds: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """1 / (1 - p), by which what is kept is multiplied."""
    return (2**32 / (2**31 - thresholds.double())).to(dtype)


def _mix(word: torch.Tensor) -> torch.Tensor:
    """Mix an int32, so that every bit depends on every other. It relies on int32 products that wrap."""
    word = word ^ (word >> 16 & 0xFFFF)
    word = word * make_signed(FIRST)
    word = word ^ (word >> 15 & 0x1FFFF)
    word = word * make_signed(SECOND)
    return word ^ (word >> 16 & 0xFFFF)


@functools.lru_cache(maxsize=64)
def _mix_numbers(count: int, step: int, device: torch.device) -> torch.Tensor:
    """The mixed numbers 0 … count - 1: (count,) int32."""
    return _mix(torch.arange(1, count + 1, dtype=torch.int32, device=device) * make_signed(step))


@functools.lru_cache(maxsize=256)
def _make_layer_words(first: int, count: int, device: torch.device) -> torch.Tensor:
    """Distinct words for ``count`` layers from ``first`` on: (many, 1) int32."""
    words = [find_layer_word(place) for place in range(first, first + count)]
    return torch.tensor(words, dtype=torch.int32, device=device)[:, None]


class Rows:
    """Makes the dropout masks for the rows of a pass. ``keys`` and ``thresholds`` are (rows,) int32, from
    ``make_row_key`` and ``compute_threshold``. Positions are mixed for ``many`` layers at once, as a mask
    takes many small
    operations; they take (many, rows, length) int32 during the pass, little compared to one mask.
    ``starts``, (rows,) int32, are the positions of the rows' first tokens; without them all are 0."""

    def __init__(
        self, keys: torch.Tensor, thresholds: torch.Tensor, many: int = MANY,
        starts: torch.Tensor | None = None,
    ) -> None:  # fmt: skip
        self._keys, self._many, self._starts = keys, many, starts
        self._thresholds = thresholds[:, None, None]
        self._scales: dict[torch.dtype, torch.Tensor] = {}
        self._of = (-1, -1)  # the first layer and the length that are mixed
        self._mixed: torch.Tensor | None = None

    def mask(self, place: int, length: int, channels: int, dtype: torch.dtype) -> torch.Tensor:
        """0 where dropped, 1 / (1 - p) where kept: (rows, length, channels) of ``dtype``."""
        word = self.words(place, length, channels)
        return torch.where(word >= self._thresholds, self._make_scale(dtype), 0.0)

    def words(self, place: int, length: int, channels: int) -> torch.Tensor:
        """The mixed word of each element: (rows, length, channels) int32."""
        word = self._make_spots(place, length)[:, :, None] ^ _mix_numbers(
            channels, CHANNELS, self._keys.device
        )
        word *= make_signed(FIRST)
        word ^= word >> 15 & 0x1FFFF
        word *= make_signed(SECOND)
        return word

    def _make_spots(self, place: int, length: int) -> torch.Tensor:
        """The mixed word of each position of each row: (rows, length) int32."""
        at = place % self._many
        if self._mixed is None or self._of != (place - at, length):
            self._of, self._mixed = (place - at, length), None  # frees the old tensor first
            rows = _mix(self._keys ^ _make_layer_words(place - at, self._many, self._keys.device))
            self._mixed = _mix(rows[:, :, None] ^ self._make_positions(length))
        return self._mixed[at]

    def _make_positions(self, length: int) -> torch.Tensor:
        """The mixed positions: (length,) int32, or (rows, length) where rows start elsewhere."""
        if self._starts is None:
            return _mix_numbers(length, POSITIONS, self._keys.device)
        numbers = torch.arange(1, length + 1, dtype=torch.int32, device=self._keys.device)
        return _mix((self._starts[:, None] + numbers) * make_signed(POSITIONS))

    def _make_scale(self, dtype: torch.dtype) -> torch.Tensor:
        scale = self._scales.get(dtype)
        if scale is None:
            scale = self._scales[dtype] = compute_scales(self._thresholds, dtype)
        return scale


def mask(
    keys: torch.Tensor, thresholds: torch.Tensor, place: int, length: int, channels: int,
    dtype: torch.dtype, starts: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """The mask of ``Rows`` for a single layer: (rows, length, channels) of ``dtype``."""
    return Rows(keys, thresholds, 1, starts).mask(place, length, channels, dtype)


def draw_uniforms(keys: torch.Tensor, place: int, length: int, channels: int) -> torch.Tensor:
    """Uniform numbers between -1 and 1 for the rows with these keys: (rows, length, channels) float32."""
    return Rows(keys, torch.zeros_like(keys), 1).words(place, length, channels).float() * 2.0**-31
