"""Each test that is left to ``make test-all`` exists, as does each file that its reason names."""

import re
from pathlib import Path

import pytest

from tests.costly_cases import COSTLY

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("key", [key for keys in COSTLY.values() for key in keys])
def test_a_test_that_is_left_out_is_there(key):
    file, _, test = key.partition("::")
    function = re.match(r"\w*", test).group()
    assert f"def {function}" in (ROOT / file).read_text()


@pytest.mark.parametrize("reason", COSTLY)
def test_the_tests_that_keep_the_promise_are_there(reason):
    assert all((ROOT / file).is_file() for file in re.findall(r"tests/\S+\.py", reason))
