"""Batched generation: a key-value cache, padding on the left, and each row with its own adapter.

Where the base model can read token trees, what prompts begin with (a system prompt, a template) is computed
once for each adapter; a prompt that is sampled several times is read once. A row that has ended leaves the
batch.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import torch

from core.train.adapters.adapter_stack import Stack
from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.kernels import pinned_transfer
from core.train.step.compute_requests import Prompt, Written
from core.train.step.token_tree import TokenTree
from core.train.step.token_tree_reader import (
    LEAST,
    Owner,
    TreeReader,
    adapt_rows,
    enable_caching,
    make_selectable_cache,
)

LEAVE = 0.9  # the batch shrinks when at most this share of its rows is still running
NUCLEUS = 0.9  # share of the probability that sampled tokens are drawn from, as in RealToxicityPrompts
ASYNCHRONOUS = ("cuda",)  # devices for which the host waits when it reads a value
LIKELY = 1024  # tokens that are looked at first for the NUCLEUS


class Generation:
    """Completes prompts; ``run_until`` works until a given time. Valid while the stack holds the same
    trials."""

    def __init__(
        self, base: Base, stack: Stack, head: Head | None, prompts: Sequence[Prompt], trees: bool
    ) -> None:
        self._base, self._stack, self._head, self._trees = base, stack, head, trees
        owners = stack.order([prompt.mine for prompt in prompts if prompt.mine is not None])
        self._place = {id(owner): index for index, owner in enumerate(owners)} | {id(None): len(owners)}
        self.prompts = sorted(prompts, key=lambda prompt: self._place[id(prompt.mine)])
        self._most = [prompt.tokens for prompt in self.prompts]
        self._written: list[list[int]] = [[] for _ in prompts]
        self._over = [False for _ in prompts]
        self._ends = list_end_ids(base)
        self._draws = [_draw_numbers(prompt.seed, prompt.tokens) for prompt in self.prompts]
        # the rows that are sampled, and their places among ``_rows``; None: these changed
        self._drawn: tuple[list[int], torch.Tensor] | None = None
        self._cache: Any = make_selectable_cache(base)
        self._first_s = self._took_s = 0.0
        self._begin()

    def _begin(self) -> None:
        """Set up what is read first: a tree for each adapter, or else the padded prompts."""
        self._rows: list[int] = []  # prompts that are being completed; none while prompts are still read
        self._owners: list[Owner] = [prompt.mine for prompt in self.prompts]
        self._reader: TreeReader | None = None
        if self._trees:
            self._plant()
            return
        ids = [list(prompt.ids) for prompt in self.prompts]
        width, device = max(len(prompt) for prompt in ids), self._base.device
        pads = [width - len(prompt) for prompt in ids]
        padded = [[self._base.pad_id] * pad + prompt for pad, prompt in zip(pads, ids, strict=True)]
        masked = [[0] * pad + [1] * (width - pad) for pad in pads]
        # the prompts and the mask of all that is read, (rows, T) int64
        on_host = (torch.tensor(padded), torch.tensor(masked))
        self._unread, self._masked = pinned_transfer.copy_to_device(device, *on_host)
        self._ids = self._unread[:, :0]
        self._mask = self._masked[:, :0]

    def _plant(self) -> None:
        trees = {id(prompt.mine): TokenTree() for prompt in self.prompts}  # in the order of the stack
        self._paths = [trees[id(prompt.mine)].add(prompt.ids) for prompt in self.prompts]
        places = {owner: place for place, owner in enumerate(trees)}
        self._tree_rows = [places[id(prompt.mine)] for prompt in self.prompts]
        owners: dict[int, Owner] = {id(prompt.mine): prompt.mine for prompt in self.prompts}
        ends: list[set[int]] = [set() for _ in trees]
        for row, path in zip(self._tree_rows, self._paths, strict=True):
            ends[row].add(path[-1])
        self._reader = TreeReader(
            self._base, self._stack, self._head is None, [owners[owner] for owner in trees],
            list(trees.values()), [sorted(nodes) for nodes in ends],
        )  # fmt: skip
        self._outputs: dict[tuple[int, int], torch.Tensor] = {}  # of prompts' last tokens, by row and node

    @torch.no_grad()
    def run_until(self, until: float, rate: float = 1e9) -> bool:
        """Read prompts and generate until about ``until`` (time.perf_counter), at least one step; the base
        model reads about ``rate`` tokens per second. Returns whether every completion is finished."""
        try:
            with enable_caching(self._base.model):
                while True:
                    began = time.perf_counter()
                    self._append_tokens(max(1.0, rate * (until - began)))
                    now = time.perf_counter()
                    self._took_s += now - began
                    self._first_s = self._first_s or (self._took_s if self._rows else 0.0)
                    if all(self._over):
                        return True
                    if now >= until:
                        return False
        finally:
            self._stack.end()

    def answers(self) -> list[Written]:
        """The completions, in the order of ``prompts``."""
        share = self._took_s / sum(len(ids) + 1 for ids in self._written)
        return [Written(ids, self._first_s, (len(ids) + 1) * share) for ids in self._written]

    def written(self, row: int) -> tuple[list[int], bool]:
        """The tokens so far of the prompt at ``row`` of ``prompts``, and whether these are all."""
        return list(self._written[row]), self._over[row]

    def progress(self, row: int) -> float:
        """How much of the work on the prompt at ``row`` of ``prompts`` is done, 0 to 1."""
        if self._over[row]:
            return 1.0
        read = len(self.prompts[row].ids)
        return (read * self._read_share + len(self._written[row])) / (read + self._most[row])

    @property
    def _read_share(self) -> float:
        """How much of the prompts is read, 0 to 1."""
        if self._rows:
            return 1.0
        if self._reader is not None:
            return self._reader.read_share
        return float(self._mask.shape[1] / self._masked.shape[1])

    @property
    def rows(self) -> int:
        """The number of rows of the next pass."""
        return len(self._owners)

    # -- reading prompts --------------------------------------------------------------------------

    def _append_tokens(self, tokens: float) -> None:
        """Read a part of the prompts, of at most about ``tokens``, or generate one token for each row."""
        if self._reader is not None:
            self._read_trees(self._reader, tokens)
        elif self._unread.shape[1]:
            self._read(max(1, int(tokens / len(self._owners))))
        else:
            self._write(self._run_pass(self._ids))

    def _read_trees(self, reader: TreeReader, tokens: float) -> None:
        """Read the next columns of the trees; after the last, choose the first token of each prompt."""
        for row, nodes, outputs in reader.read(max(LEAST, tokens)):
            self._outputs |= {(row, int(node)): output for node, output in zip(nodes, outputs, strict=True)}
        if reader.unread:
            return
        last = [self._outputs[row, path[-1]] for row, path in zip(self._tree_rows, self._paths, strict=True)]
        self._mask = reader.spread(self._tree_rows, self._paths)
        self._cache, self._reader, self._outputs = reader.cache, None, {}
        self._unread = self._mask[:, :0]
        self._rows = list(range(len(self.prompts)))
        self._write(self._convert_to_logits(torch.stack(last)))

    def _read(self, columns: int) -> None:
        """Read the next columns of all prompts; after the last, choose the first token."""
        if self._cache is None:  # the model makes its own cache: prompts are read in one pass
            columns = self._unread.shape[1]
        ids, self._unread = self._unread[:, :columns], self._unread[:, columns:]
        self._mask = self._masked[:, : self._mask.shape[1] + ids.shape[1]]
        logits = self._run_pass(ids)
        if not self._unread.shape[1]:
            self._rows = list(range(len(self.prompts)))
            self._write(logits)

    # -- generating -------------------------------------------------------------------------------

    def _write(self, logits: torch.Tensor) -> None:
        """Append one token to each row."""
        chosen = self._choose(logits)
        # the only wait for the device of a token: which rows have ended decides what the next pass is
        for row, token in zip(self._rows, chosen.tolist(), strict=True):
            self._over[row] = self._over[row] or token in self._ends
            if not self._over[row]:
                self._written[row].append(token)
                self._over[row] = len(self._written[row]) >= self._most[row]
        self._ids = chosen[:, None]
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        self._leave()

    def _leave(self) -> None:
        """Drop the rows that have ended, once enough have."""
        stay = [at for at, row in enumerate(self._rows) if not self._over[row]]
        if not stay or self._cache is None or len(stay) > LEAVE * len(self._rows):
            return
        (at_stay,) = pinned_transfer.copy_to_device(self._base.device, torch.tensor(stay))
        self._cache.batch_select_indices(at_stay)
        self._ids, self._mask = self._ids[at_stay], self._mask[at_stay]
        self._rows, self._owners = [self._rows[at] for at in stay], [self._owners[at] for at in stay]
        self._drawn = None

    def _run_pass(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) float32 of the token after ``ids`` (B, T), with the adapter of each row's owner."""
        with adapt_rows(self._stack, self._owners):
            return self._compute_logits(ids)

    def _convert_to_logits(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.float() if self._head is None else self._head.few(outputs)

    def _compute_logits(self, ids: torch.Tensor) -> torch.Tensor:
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        inputs: dict[str, Any] = {
            "input_ids": ids, "attention_mask": self._make_mask(ids), "position_ids": positions,
            "past_key_values": self._own_cache if self._cache is None else self._cache, "use_cache": True,
        }  # fmt: skip
        if self._head is None:
            output = self._base.model(**inputs)
            self._own_cache = output.past_key_values
            return self._convert_to_logits(output.logits[:, -1])
        output = self._base.model.base_model(**inputs)
        self._own_cache = output.past_key_values
        return self._convert_to_logits(output.last_hidden_state[:, -1])

    def _make_mask(self, ids: torch.Tensor) -> torch.Tensor | None:
        """What the tokens ``ids`` attend to. Of a mask (B, T) transformers reads whether anything is masked,
        and waits for the device. So on a GPU tokens that are generated have none if no prompt is padded, else
        an additive one (B, 1, 1, T), which bases that read trees take."""
        if not self._trees or ids.shape[1] > 1 or ids.device.type not in ASYNCHRONOUS:
            return self._mask
        if len({len(prompt.ids) for prompt in self.prompts}) == 1:
            return None
        dtype = self._base.model.dtype
        seen = torch.zeros(self._mask.shape, dtype=dtype, device=ids.device)
        return seen.masked_fill_(self._mask == 0, torch.finfo(dtype).min)[:, None, None]

    _own_cache: Any = None  # the model's own cache, where a DynamicCache cannot be used

    def _choose(self, logits: torch.Tensor) -> torch.Tensor:
        """The most likely token of each row, or a sampled one for rows with a seed: (rows,) int64."""
        chosen = logits.argmax(-1)
        if self._drawn is None:
            places = [at for at, row in enumerate(self._rows) if self._draws[row]]
            (moved,) = pinned_transfer.copy_to_device(logits.device, torch.tensor(places, dtype=torch.int64))
            self._drawn = [self._rows[at] for at in places], moved
        rows, at = self._drawn
        if rows:
            draws = [self._draws[row][min(len(self._written[row]), self._most[row] - 1)] for row in rows]
            cumulative = _cut_to_nucleus(self._apply_temperature(logits[at], rows).softmax(-1)).cumsum(-1)
            (shares,) = pinned_transfer.copy_to_device(logits.device, torch.tensor(draws)[:, None])
            thresholds = shares * cumulative[:, -1:]
            sampled = torch.searchsorted(cumulative, thresholds).squeeze(-1)
            chosen[at] = sampled.clamp(max=logits.shape[-1] - 1)
        return chosen

    def _apply_temperature(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """``logits`` (B, V) of these rows, divided by the temperatures of their prompts."""
        temperatures = [self.prompts[row].temperature for row in rows]
        if all(temperature == 1.0 for temperature in temperatures):
            return logits
        (moved,) = pinned_transfer.copy_to_device(logits.device, torch.tensor(temperatures)[:, None])
        return logits / moved


def _cut_to_nucleus(probabilities: torch.Tensor) -> torch.Tensor:
    """``probabilities`` (B, V) without the unlikely tokens that together have less than 1 − NUCLEUS: their
    rows then sum to less than 1 (Holtzman et al. 2020)."""
    largest = _likeliest(probabilities)
    before = largest.cumsum(-1) - largest  # of all likelier tokens
    least = largest.masked_fill(before >= NUCLEUS, torch.inf).amin(-1, keepdim=True)
    return probabilities.masked_fill(probabilities < least, 0.0)


def _likeliest(probabilities: torch.Tensor) -> torch.Tensor:
    """The largest of each row in falling order, as many as hold NUCLEUS, or all. A CPU sorts 49,152 of them
    nine times as long as it looks for the largest 1,024; a GPU would wait for the host to know whether these
    are enough."""
    if probabilities.device.type == "cpu" and probabilities.shape[-1] > LIKELY:
        largest = probabilities.topk(LIKELY).values
        if float(largest.sum(-1).min()) > NUCLEUS + 1e-4:  # else rounding might decide
            return largest
    return probabilities.sort(-1, descending=True).values


def _draw_numbers(seed: str, tokens: int) -> list[float]:
    """A row's own uniform random numbers, one for each token, so that other rows do not affect it."""
    source = random.Random(seed)
    return [source.random() for _ in range(tokens)] if seed else []


def list_end_ids(base: Base) -> frozenset[int]:
    """The tokens that end a completion, according to tokenizer and model."""
    configured = getattr(getattr(base.model, "generation_config", None), "eos_token_id", None)
    ids = configured if isinstance(configured, list | tuple) else [configured]
    return frozenset(token for token in (*ids, base.tokenizer.eos_token_id) if token is not None)
