"""A bundle's trial trained again: bit-identical where it trained alone, equal within rounding out of a pack."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.e2e.conftest import House

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("e2e")]


def exported(house: House, pack: int, trials: int, changed: str = "") -> tuple[str, dict]:
    """Run a study, export it; the bundle's folder and the best trial's entry."""
    file = house.write(trials=trials, steps=30)
    file.write_text(file.read_text().replace("pack = 2", f"pack = {pack}") + changed)
    house.trimtab("run", str(file), "--headless")
    out = house.home.parent / "bundle"
    house.trimtab("export", "tiny", "--out", str(out))
    best = json.loads((out / "manifest.json").read_text())["trial"]
    trials_file = json.loads((out / "trials.json").read_text())
    return str(out), next(one for one in trials_file if one["trial"] == best)


def test_a_trial_that_was_alone_on_a_cpu_in_fp32_is_bit_identical(house: House):
    bundle, best = exported(house, pack=1, trials=2)
    assert best["ran"]["alone"] and best["ran"]["devices"] == ["cpu"]
    told = house.trimtab("rerun", bundle)
    assert "the same bits in all 16 tensors" in told and told.endswith("bit-identical\n")
    house.trimtab("export", "tiny", "--out", str(house.home.parent / "zipped"), "--zip")
    again = house.trimtab("rerun", str(house.home.parent / "zipped.zip"))
    assert "tiny-rerun-2" in again and again.endswith("bit-identical\n")
    out = house.home.parent / "merged"
    house.trimtab("merge", "tiny", "--out", str(out))
    assert (out / "model.safetensors").is_file()


def test_a_trial_out_of_a_pack_is_equal_within_rounding_and_says_so(house: House):
    bundle, best = exported(house, pack=2, trials=2)
    assert best["ran"]["beside"]
    told = house.trimtab("rerun", bundle)
    assert "it ran in a pack, beside trial" in told and told.endswith("the same within 0.001\n")
    assert float(told.split("  eval/loss  ")[1].split("  ")[1].split(" ")[0]) < 1e-5
    house.trimtab("rerun", bundle, "--tolerance", "0", code=1)


def test_somebody_else_elsewhere_says_where_the_data_is_and_other_data_is_refused(house: House, tmp_path):
    bundle, _ = exported(house, pack=1, trials=1)
    moved = tmp_path / "their-rows.jsonl"
    rows = (house.base / "rows.jsonl").read_text()
    moved.write_text(rows)
    told = house.trimtab("rerun", bundle, "--data", str(moved))
    assert told.endswith("bit-identical\n")
    moved.write_text(rows.replace("join", "bind"))
    house.trimtab("rerun", bundle, "--data", str(moved), code=2)
    other = house.trimtab("rerun", bundle, "--data", str(moved), "--anyway", code=1)
    assert "is not the same content as it was" in other and other.endswith("not the same\n")
    (shutil.copytree(bundle, tmp_path / "b") / "study.toml").write_text("[study]\n")
    house.trimtab("rerun", str(tmp_path / "b"), code=2)
