"""``python -m tests.gpu.parcel``: put what a machine with torch and transformers lacks into build/wheels.

The wheels are those that ``constraints.txt`` names, for Python 3.12 on x86-64 Linux. ``--bitsandbytes`` makes
the second parcel: its wheel with the library of one CUDA version alone, a tenth of its size."""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.gpu.carried_wheels import FOLDERS, ROOT

# What torch, transformers, peft and their dependencies do not bring. A machine may have some: it keeps them.
NEEDED = (
    "annotated-types", "pydantic", "pydantic_core", "typing-inspection",  # study files
    "msgspec", "platformdirs", "tomli_w", "nvidia-ml-py", "python-stdnum", "ftfy", "wcwidth",
    "aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "multidict", "propcache", "yarl",
    "optuna", "alembic", "cmaes", "colorlog", "Mako", "SQLAlchemy",  # the search process
    "textual", "linkify-it-py", "mdit-py-plugins",
    "tensorboard", "absl-py", "protobuf", "Markdown", "Werkzeug",
    "datasets", "dill", "multiprocess", "xxhash",  # the engine asks that it is there; only the hub needs it
    "scipy",
    "pytest", "pytest-asyncio", "pluggy", "iniconfig",
)  # fmt: skip
BROUGHT = (  # of what trimtab asks for, by torch, transformers or peft
    "accelerate", "huggingface-hub", "numpy", "peft", "psutil", "pyyaml", "safetensors", "torch",
    "transformers",
)  # fmt: skip
UNUSED = ("sacrebleu",)  # a metric that the ticket does not ask for
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_24_x86_64",
             "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")  # fmt: skip
SECOND = "bitsandbytes"


def pins() -> dict[str, str]:
    """``name==version`` by name, from constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return {line.partition("==")[0]: line for line in lines if "==" in line and not line.startswith("#")}


def download(names: list[str], folder: Path, python: str) -> None:
    """By pip, without dependencies: a machine has the rest. Raises CalledProcessError."""
    known = pins()
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--implementation", "cp", "--python-version", python, "-d", str(folder),
    ]  # fmt: skip
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run([*command, *(known.get(name, name) for name in names)], check=True)


def slim(wheel: Path, cuda: str) -> Path:
    """A wheel of bitsandbytes with the library of one CUDA version, such as 130, in place of all of them."""
    aside = wheel.with_suffix(".new")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            last = name.rpartition("/")[2]
            if last.startswith("libbitsandbytes_") and last not in (
                f"libbitsandbytes_cuda{cuda}.so", "libbitsandbytes_cpu.so"
            ):  # fmt: skip
                continue
            target.writestr(source.getinfo(name), source.read(name), zipfile.ZIP_DEFLATED)
    aside.rename(wheel)
    return wheel


def main() -> None:
    """Download, and print the sizes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu.parcel", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--python", default="3.12", help="of the machine")
    parser.add_argument("--without", default="", metavar="scipy,…", help="packages that the machine has")
    parser.add_argument("--bitsandbytes", action="store_true", help="the second parcel")
    parser.add_argument("--cuda", default="130", help="the CUDA version of the machine's torch, such as 130")
    options = parser.parse_args()
    folder = FOLDERS[options.bitsandbytes]
    folder.mkdir(parents=True, exist_ok=True)
    if options.bitsandbytes:
        download([SECOND], folder, options.python)
        for wheel in folder.glob(f"{SECOND}-*.whl"):
            slim(wheel, options.cuda)
    else:
        there = options.without.split(",")
        download([name for name in NEEDED if name not in there], folder, options.python)
    wheels = sorted(folder.glob("*.whl"), key=lambda wheel: -wheel.stat().st_size)
    for wheel in wheels:
        print(f"{wheel.stat().st_size / 2**20:8.2f} MiB  {wheel.name}")
    print(f"{sum(wheel.stat().st_size for wheel in wheels) / 2**20:8.2f} MiB  in {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
