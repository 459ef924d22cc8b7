"""A base that is too large for a CPU is no surprise."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from core.contract.spec import spec_file
from core.memory.base.slow_cpu_warning import warn_if_slow
from core.train.commands.worker import Worker
from tests.daemon.test_foresight import QWEN


@pytest.mark.parametrize(
    ("parameters", "precision", "device", "told"),
    [
        (
            7e9,
            "nf4",
            "cpu",
            "a base of 7.0 B parameters trains on the CPU in nf4, which every pass dequantises",
        ),
        (
            7e9,
            "auto",
            "cpu",
            "a base of 7.0 B parameters trains on the CPU, so a step takes minutes; use a GPU",
        ),
        (7e9, "nf4", "cuda:0", ""),
        (135e6, "nf4", "cpu", ""),
        (500e6, "fp32", "cpu", ""),
        (500e6, "int8", "cpu", "a base of 0.5 B parameters trains on the CPU in int8"),
    ],
)
def test_what_is_told_of_it(parameters, precision, device, told):
    found = warn_if_slow(int(parameters), precision, device)
    assert found.startswith(told) and bool(found) == bool(told)


def test_a_worker_tells_it_before_it_loads(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    raw = {
        "study": {"name": "s"},
        "model": {"base": str(tmp_path), "precision": "nf4"},
        "data": {"source": "x"},
    }
    said = []
    simple_namespace = SimpleNamespace(
        _spec=spec_file.parse(raw), _device="cpu", _reporter=SimpleNamespace(warn=said.append)
    )
    Worker._warn_of_size(simple_namespace)
    assert len(said) == 1 and "trains on the CPU in nf4" in said[0]
    simple_namespace._spec = spec_file.parse({**raw, "model": {"base": "nobody/knows"}})
    Worker._warn_of_size(simple_namespace)
    assert len(said) == 1
