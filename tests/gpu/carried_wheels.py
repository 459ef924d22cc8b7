"""Adds packages that a machine lacks from carried wheels, for this interpreter and all that it starts.

An engine and its workers are started with a PYTHONPATH of their own, so the packages stand in a virtual
environment that sees this interpreter's packages, too."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (ROOT / "build" / "wheels", ROOT / "build" / "wheels-bitsandbytes")
ENTERED = "TRIMTAB_GPU_CARRIED"
VERSION = f"{sys.version_info[0]}{sys.version_info[1]}"
PLACE = Path(tempfile.gettempdir()) / f"trimtab-gpu-{os.getuid()}-{VERSION}"


def enter(module: str, arguments: list[str]) -> None:
    """Run ``python -m module`` again with the missing packages, where some are missing and wheels of them are
    carried; else return."""
    carried = [wheel for folder in FOLDERS for wheel in sorted(folder.glob("*.whl")) if fits(wheel)]
    lacking = [wheel for wheel in carried if not installed(wheel)]
    if not lacking or os.environ.get(ENTERED) == "1":
        return
    python = build(PLACE)
    there = {info.name.split("-")[0].lower() for info in packages_of(PLACE).glob("*.dist-info")}
    install([wheel for wheel in lacking if wheel.name.split("-")[0].lower() not in there], PLACE)
    os.environ[ENTERED] = "1"
    os.execv(python, [str(python), "-m", module, *arguments])


def fits(wheel: Path) -> bool:
    """Whether the wheel is for this Python."""
    *_, pythons, abi, _ = wheel.stem.split("-")
    return abi == "abi3" or bool({"py3", f"py{VERSION}", f"cp{VERSION}"} & {*pythons.split(".")})


def installed(wheel: Path) -> bool:
    """Whether this interpreter has some version of the wheel's package."""
    try:
        distribution(wheel.name.split("-")[0])
        return True
    except PackageNotFoundError:
        return False


def build(place: Path) -> Path:
    """A virtual environment that sees the packages of this interpreter after its own; returns its Python."""
    if not (place / "pyvenv.cfg").exists():
        venv.EnvBuilder(symlinks=True).create(place)
        # sys.path, as a .pth file that leads to further folders is read in its own folder alone
        known = [folder for folder in dict.fromkeys((*sys.path, *site.getsitepackages())) if folder]
        (packages_of(place) / "carried.pth").write_text("\n".join(known) + "\n", "utf-8")
    return place / "bin" / "python"


def packages_of(place: Path) -> Path:
    """Where its packages lie."""
    return place / "lib" / f"python{VERSION[0]}.{VERSION[1:]}" / "site-packages"


def install(wheels: list[Path], place: Path) -> None:
    """By this interpreter's pip, without looking anywhere else. Raises CalledProcessError."""
    if not wheels:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore", "--upgrade"]
    print(f"installing {len(wheels)} carried wheels into {place}", flush=True)
    subprocess.run([*command, "--target", str(packages_of(place)), *map(str, wheels)], check=True)
