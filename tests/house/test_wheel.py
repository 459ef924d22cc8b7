"""An installation adds one name, `trimtab`, and the installed program runs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("wheel")  # one wheel for all

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    copy = tmp_path_factory.mktemp("source") / "trimtab"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if name.startswith("tests/") or not (ROOT / name).is_file():
            continue
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(out), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_adds_one_name(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"trimtab"}


def test_the_wheel_carries_themes_and_study_files(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("themes", "configs"):
        for path in (ROOT / folder).iterdir():
            assert f"trimtab/{folder}/{path.name}" in names


def test_the_wheel_carries_the_prompts_of_the_boards(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "core" / "evaluate" / "prompts" / "data").iterdir():
        assert f"trimtab/core/evaluate/prompts/data/{path.name}" in names


def test_the_wheel_carries_the_manual(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "core" / "manual").glob("*.md"):
        assert f"trimtab/core/manual/{path.name}" in names


def test_the_installed_program_runs_and_finds_its_rooms(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    start = "from trimtab.tui.entry_point import main; sys.exit(main())"
    code = f"import sys; sys.path.insert(0, {str(site)!r}); {start}"
    environment = {**os.environ, "TRIMTAB_HOME": str(tmp_path / "home")}
    check = [sys.executable, "-P", "-c", code, "check", str(ROOT / "configs" / "demo.toml")]
    done = subprocess.run(check, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    where = [
        sys.executable,
        "-P",
        "-c",
        code.replace("sys.exit(main())", "import core; print(core.__file__)"),
    ]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(site / "trimtab" / "core" / "__init__.py")
