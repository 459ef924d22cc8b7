"""Probes the libraries in a separate process: importing torch takes seconds and hundreds of MiB."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from core.contract.text.sanitize import sanitize

LIMIT_S = 180.0  # a first import from a slow disk
LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "accelerate", "optuna")
PROGRAM = """
import importlib, importlib.metadata, json, sys, warnings
warnings.simplefilter("ignore")
found = {"versions": {}, "missing": {}, "absent": [], "cuda": "", "quantisation": "", "problem": ""}
for name in sys.argv[1:]:
    try:
        found["versions"][name] = importlib.metadata.version(name)
        if name != "optuna":
            importlib.import_module(name)
    except importlib.metadata.PackageNotFoundError:
        found["absent"].append(name)
    except Exception as error:
        found["missing"][name] = f"{type(error).__name__}: {error}"
        found["versions"].pop(name, None)
try:
    import torch
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count:
        names = [torch.cuda.get_device_name(index) for index in range(count)]
        found["cuda"] = f"CUDA {torch.version.cuda}: " + ", ".join(names)
except Exception as error:
    found["problem"] = f"torch does not load: {error}"
try:
    import torch, bitsandbytes.functional as functional
    for device in ["cpu"] + (["cuda"] if found["cuda"] else []):
        whole = torch.linspace(-1, 1, 4096, device=device).reshape(64, 64)
        packed, state = functional.quantize_4bit(whole, quant_type="nf4")
        again = functional.dequantize_4bit(packed, state)
        if not torch.allclose(again.float(), whole.float(), atol=0.2):
            raise RuntimeError(f"nf4 on {device} does not give the numbers back")
except Exception as error:
    found["quantisation"] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(found))
"""


class Probed(msgspec.Struct, frozen=True):
    """The result of the probe: ``absent`` packages are not installed, ``missing`` ones do not load.

    An empty ``quantisation`` means that it works, an empty ``cuda`` that torch sees no GPU; ``problem`` says
    why the probe itself failed.
    """

    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    absent: tuple[str, ...] = ()
    cuda: str = ""
    quantisation: str = ""
    problem: str = ""


def probe_libraries() -> Probed:
    """Import each library, look for CUDA, and quantise a small matrix."""
    command = [sys.executable, "-P", "-c", PROGRAM, *LIBRARIES]
    try:
        completed = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
        raw = msgspec.json.decode(completed.stdout.strip().rsplit(b"\n", 1)[-1], type=Probed)
    except subprocess.TimeoutExpired:
        return Probed(problem=f"the libraries did not load in {LIMIT_S:.0f} s")
    except (OSError, msgspec.DecodeError) as error:
        return Probed(problem=f"the libraries do not load: {sanitize(str(error), 200)}")
    missing = {name: sanitize(text, 300) for name, text in raw.missing.items()}
    return msgspec.structs.replace(
        raw, missing=missing, quantisation=sanitize(raw.quantisation, 300), problem=sanitize(raw.problem, 300)
    )
