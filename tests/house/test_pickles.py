"""Nothing that trimtab reads back can run code: no pickle, no eval, no shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
CALLS = {
    "torch.load",
    "numpy.load",
    "np.load",
    "pandas.read_pickle",
    "yaml.load",
    "eval",
    "exec",
    "os.system",
}
WORDS = {"allow_pickle", "shell", "weights_only"}
SOURCES = sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "tui").rglob("*.py")])


def dangers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            yield from [called] if called in CALLS else []
            yield from [f"{called}({keyword.arg}=…)" for keyword in node.keywords if keyword.arg in WORDS]
        yield from [name for name in names if name.split(".")[0] in MODULES]


def test_no_source_reads_a_pickle_or_runs_text():
    found = {
        str(path.relative_to(ROOT)): list(dangers(ast.parse(path.read_text("utf-8")))) for path in SOURCES
    }
    assert len(found) > 700 and {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "code", ["import pickle", "from joblib import load", "torch.load(f)", "eval('1')", "run('x', shell=True)"]
)
def test_what_would_is_found(code):
    assert list(dangers(ast.parse(code)))
