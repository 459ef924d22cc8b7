"""The chunked loss is torch's cross-entropy, and so is its gradient; memory does not grow with the tokens."""

import pytest
import torch
from torch.nn import functional

from core.train.base import cross_entropy
from core.train.base.cross_entropy import Head

HEADS = {
    "plain": {},
    "with a bias": {"bias": torch.linspace(-1, 1, 37)},
    "scaled, as Granite": {"scale": 0.25},
    "bounded, as Gemma 2": {"cap": 2.0, "scale": 3.0},
}


@pytest.fixture(params=list(HEADS))
def head(request):
    torch.manual_seed(0)
    return Head(torch.randn(37, 16), **HEADS[request.param])


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_losses_and_gradients_are_those_of_all_logits_at_once(head, chunk, monkeypatch):
    monkeypatch.setitem(cross_entropy.CHUNK_BYTES, "cpu", chunk * 4 * 37)
    hidden = torch.randn(23, 16, requires_grad=True)
    targets, weights = torch.randint(0, 37, (23,)), torch.rand(23)
    found = cross_entropy.compute_losses(hidden, head, targets)
    (found * weights).sum().backward()
    mine, hidden.grad = hidden.grad, None
    logits = functional.linear(hidden, head.weight, head.bias) * head.scale
    logits = torch.tanh(logits / head.cap) * head.cap if head.cap else logits
    expected = functional.cross_entropy(logits, targets, reduction="none")
    (expected * weights).sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(mine, hidden.grad)
    losses, hits = cross_entropy.judge(hidden.detach(), head, targets)
    torch.testing.assert_close(losses, expected.detach())
    assert torch.equal(hits, logits.argmax(-1) == targets)


@pytest.mark.parametrize("chunk", [5, 1000])
def test_smoothed_labels_are_those_of_torch(head, chunk, monkeypatch):
    monkeypatch.setitem(cross_entropy.CHUNK_BYTES, "cpu", chunk * 4 * 37)
    hidden, targets = torch.randn(23, 16, requires_grad=True), torch.randint(0, 37, (23,))
    found = cross_entropy.compute_losses(hidden, head, targets)
    found = found + 0.1 * cross_entropy.compute_target_gaps(hidden, head, targets)
    found.sum().backward()
    mine, hidden.grad = hidden.grad, None
    logits = functional.linear(hidden, head.weight, head.bias) * head.scale
    logits = torch.tanh(logits / head.cap) * head.cap if head.cap else logits
    expected = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=0.1)
    expected.sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(mine, hidden.grad)
    own = functional.cross_entropy(logits, targets, reduction="none")
    own = own + 0.1 * cross_entropy.compute_target_gaps(logits, None, targets)
    torch.testing.assert_close(own, expected)


def test_one_row_that_is_not_a_number_is_no_others(head):
    hidden = torch.randn(6, 16)
    hidden[2] = float("nan")
    hidden.requires_grad_()
    found = cross_entropy.compute_losses(hidden, head, torch.zeros(6, dtype=torch.long))
    found.sum().backward()
    assert found.isfinite().tolist() == [True, True, False, True, True, True]
    assert hidden.grad.isfinite().all(1).tolist() == [True, True, False, True, True, True]


def test_no_tensor_is_as_large_as_the_logits(monkeypatch):
    head = Head(torch.randn(5000, 8))
    monkeypatch.setitem(cross_entropy.CHUNK_BYTES, "cpu", 10 * 4 * 5000)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            found = function(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor):
                largest = max(largest, found.numel())
            return found

    with Watch():
        cross_entropy.compute_losses(torch.randn(300, 8), head, torch.zeros(300, dtype=torch.long))
    assert largest == 10 * 5000
