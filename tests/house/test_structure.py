"""The house keeps its own rules: who may import whom, what is packaged, what a fresh process loads."""

import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOTS = (ROOT / "core", ROOT / "core/train", ROOT / "tui")  # with a folder for each room, part and feature
ROOMS = {"core", "tui", "tests", "themes", "configs"}


def test_rooms_import_only_the_floors_below_them():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_top_level_holds_the_rooms_and_nothing_else():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert {name for name in folders if not name.startswith(".")} == ROOMS


def test_every_file_is_short_enough_to_hold_in_mind():
    long = [
        f"{path.relative_to(ROOT)}: {count}"
        for room in ("core", "tui", "tests")
        for path in (ROOT / room).rglob("*.py")
        if (count := path.read_text().count("\n")) > 350
    ]
    assert not long


def sources() -> list[Path]:
    """The files of core and tui that hold code."""
    return [
        path for room in ("core", "tui") for path in (ROOT / room).rglob("*.py") if path.name != "__init__.py"
    ]


def test_a_folder_can_be_read_at_a_glance():
    counts = Counter(path.parent for path in sources())
    folders = {path.parent for path in sources()}
    counts += Counter(folder.parent for folder in folders if folder.parent not in ROOTS)
    assert not {str(folder): count for folder, count in counts.items() if count > 14}


def test_a_file_is_found_by_its_name():
    """In an editor's tab bar no two files look the same."""
    counts = Counter(path.name for path in sources())
    assert not {name: count for name, count in counts.items() if count > 1}


def test_the_packages_listed_are_the_folders_there_are():
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = set(tomllib.load(file)["tool"]["setuptools"]["packages"])
    folders = {
        "trimtab." + ".".join(path.parent.relative_to(ROOT).parts)
        for room in ("core", "tui")
        for path in (ROOT / room).rglob("*.py")
    }
    assert listed == folders | {"trimtab.themes", "trimtab.configs"}


def test_no_pickle_is_read_anywhere():
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run(
        [ruff, "check", "--select", "TID251,S301", "core", "tui"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def loaded_by(module: str) -> set[str]:
    """The top-level modules in a fresh process that imported ``module``."""
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_console_and_engine_never_load_torch():
    heavy = {"torch", "transformers", "peft", "bitsandbytes", "datasets", "optuna", "tensorflow"}
    for module in (
        "tui.app",
        "core.daemon.server.socket_server",
        "core.daemon.event_committer",
        "core.cli.main",
    ):
        assert not loaded_by(module) & heavy, module


def test_a_search_process_starts_without_scipy():
    assert "scipy" not in loaded_by("core.search.study.optuna_study"), (
        "it takes longer to import than all the rest"
    )


def test_the_contract_loads_neither_torch_nor_textual():
    heavy = {"torch", "transformers", "textual", "optuna", "aiohttp", "pydantic"}
    assert not loaded_by("core.contract.state.event_fold") & heavy
