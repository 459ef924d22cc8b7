"""What libraries do while they are imported is kept small."""

from __future__ import annotations

import subprocess
import sys

import torch

from core.train.quiet import compiled_at_first_call


def test_a_function_is_compiled_when_it_is_first_called_and_once():
    asked = []

    def compiles(function, **options):
        asked.append(options)
        return lambda *values, **named: ("compiled", function(*values, **named))

    double = compiled_at_first_call(compiles)(lambda value, by=2: value * by, dynamic=False)
    assert asked == []
    assert [double(2), double(3, by=5)] == [("compiled", 4), ("compiled", 15)]
    assert asked == [{"dynamic": False}]


def test_peft_comes_without_torch_s_compiler():
    code = (
        "import torch; before = torch.compile; from core.train.quiet import load_peft; load_peft();"
        "import sys, peft; assert torch.compile is before;"
        "print(sum(name.startswith('torch._inductor.codegen') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "0", "two seconds of every worker's start"
    assert torch.compile.__module__ == "torch"
