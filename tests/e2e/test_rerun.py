"""A bundle's trial trained again: the same bits where it was alone, within rounding out of a pack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import House

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("e2e")]


def exported(house: House, pack: int) -> tuple[Path, dict]:
    """Run a study of two trials, export it; the bundle's folder and the best trial's entry."""
    file = house.write(trials=2, steps=12)
    file.write_text(file.read_text().replace("pack = 2", f"pack = {pack}"))
    house.trimtab("run", str(file), "--headless")
    out = house.home.parent / "bundle"
    house.trimtab("export", "tiny", "--out", str(out))
    assert (out / "curves" / "eval_loss.png").read_bytes().startswith(b"\x89PNG")
    best = json.loads((out / "manifest.json").read_text())["trial"]
    return out, next(load for load in json.loads((out / "trials.json").read_text()) if load["trial"] == best)


def test_alone_on_a_cpu_in_fp32_it_is_bit_identical_elsewhere_too_and_on_other_data_it_is_not(house: House):
    _, best = exported(house, pack=1)
    assert best["ran"]["alone"] and best["ran"]["devices"] == ["cpu"]
    house.trimtab("export", "tiny", "--out", str(house.home.parent / "given"), "--zip")
    given = str(house.home.parent / "given.zip")
    moved = house.home.parent / "their-rows.jsonl"
    rows = (house.base / "rows.jsonl").read_text()
    moved.write_text(rows)
    told = house.trimtab("rerun", given, "--data", str(moved))
    assert "identical bits in all " in told and told.endswith("bit-identical\n")
    moved.write_text(rows.replace("join", "bind"))
    house.trimtab("rerun", given, "--data", str(moved), code=2)
    other = house.trimtab("rerun", given, "--data", str(moved), "--anyway", code=1)
    assert "tiny-rerun-2" in other and other.endswith("not equal\n")
    assert "data.source: the content of their-rows.jsonl has changed" in other
    house.trimtab("merge", "tiny", "--out", str(house.home.parent / "merged"))
    assert (house.home.parent / "merged" / "model.safetensors").is_file()


def test_out_of_a_pack_it_is_equal_within_rounding_and_that_is_said(house: House):
    bundle, best = exported(house, pack=2)
    assert best["ran"]["beside"] == [1 - best["trial"]]
    told = house.trimtab("rerun", str(bundle))
    assert "it ran in a pack with trials" in told and told.endswith("equal within 0.0001\n")
    apart = told.split("  eval/loss  ")[1].split("  ")[1]
    assert apart.startswith("identical bits") or float(apart.split(" ")[-1]) < 1e-5
