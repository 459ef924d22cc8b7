"""All trials as CSV and Parquet."""

import csv
import io

from msgspec.structs import replace
from pyarrow import parquet

from core.contract.events import event_types as e
from core.store.report import trial_table_export


def test_each_trial_is_a_row_with_its_searched_and_fixed_knobs_and_its_numbers(report):
    found = {row["trial"]: row for row in report().rows}
    best = found[4]
    assert best["state"] == "complete" and best["value.eval/loss"] < found[2]["value.eval/loss"]
    assert best["param.lora_rank"] == 8 and best["knob.lora_alpha"] == 32.0
    assert (
        best["score.safety/toxicity.low"] < best["score.safety/toxicity"] < best["score.safety/toxicity.high"]
    )
    assert best["score.safety/toxicity.samples"] == 160
    assert found[3]["error"].startswith("[bold]the loss is nan") and found[1]["why"].startswith(
        "median pruner"
    )
    assert found[3]["value.eval/loss"] is None


def test_csv_and_parquet_hold_the_same(report, tmp_path):
    rows = report().rows
    assert trial_table_export.write_parquet(rows, tmp_path / "t.parquet") == ""
    read = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert read == rows
    lines = list(csv.DictReader(io.StringIO(trial_table_export.encode_csv(rows))))
    assert [float(line["param.learning_rate"]) for line in lines] == [
        row["param.learning_rate"] for row in rows
    ]


def test_lists_and_numbers_may_stand_in_one_column(report, events, tmp_path):
    mixed = [
        replace(event, params={**event.params, "target_modules": ["q_proj", "v_proj"]})
        if isinstance(event, e.TrialQueued) and event.trial == 0 else event
        for event in events
    ]  # fmt: skip
    rows = report(mixed).rows
    assert rows[0]["param.target_modules"] == '["q_proj", "v_proj"]'
    assert rows[1]["param.target_modules"] == "all-linear"
    assert trial_table_export.write_parquet(rows, tmp_path / "t.parquet") == ""


def test_a_spreadsheet_runs_no_text(report):
    rows = [{**report().rows[0], "why": "=HYPERLINK(0)"}]
    assert "'=HYPERLINK(0)" in trial_table_export.encode_csv(rows)
    assert ",-1.5," in trial_table_export.encode_csv(
        [{"trial": 0, "latest.quality/forgetting": -1.5, "why": ""}]
    )


def test_a_study_without_a_trial_is_a_line_of_names(report, events, tmp_path):
    rows = report(events[:1]).rows
    assert (
        trial_table_export.encode_csv(rows) == "trial\n"
        and trial_table_export.write_parquet(rows, tmp_path / "t.parquet") == ""
    )
