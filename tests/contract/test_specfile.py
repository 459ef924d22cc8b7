"""A study file: all problems at once, each with its place, its value, and the way out."""

import tomllib
from pathlib import Path

import pytest

from core.contract.spec import spec_file
from core.contract.spec.knob_table import KNOBS
from core.contract.spec.search_space import Choice, Range
from core.errors import SpecError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SMALL = {"study": {"name": "s"}, "model": {"base": "b"}, "data": {"source": "d"}}


def problems(raw: dict) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec_file.parse(raw, "f.toml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.toml")))
def test_the_shipped_configs_load_and_survive_a_round_trip(name):
    spec = spec_file.load(CONFIGS / name)
    assert spec_file.parse(spec_file.convert_to_raw(spec)) == spec


def test_the_smallest_file_gets_defaults_for_every_knob():
    spec = spec_file.parse(SMALL)
    assert set(spec.train) == set(KNOBS)
    assert spec.study.objectives[0].direction == "minimize"


def test_the_direction_follows_from_the_metric():
    spec = spec_file.parse(
        {**SMALL, "study": {"name": "s", "objectives": ["eval/accuracy"], "pruner": "none"}}
    )
    assert spec.study.objectives[0].direction == "maximize"


def test_every_problem_is_told_at_once_with_the_nearest_key():
    told = "\n".join(
        problems(
            {
                "study": {"name": "../etc", "trails": 3},
                "model": {"base": "b", "precision": "fp4"},
                "dat": {},
                "train": {"learning_rat": 1e-4, "lora_rank": 0, "optimizer": "adam"},
                "space": {"clip_norm": {"low": 2.0, "high": 1.0}},
            }
        )
    )
    for part in (
        "unknown section 'dat'\n  → did you mean 'data'?",
        "the section [data] is missing",
        "f.toml [study]: unknown key 'trails'\n  → did you mean 'trials'?",
        "name = '../etc': must be 1 to 64 letters",
        "precision = 'fp4': input should be",
        "unknown knob 'learning_rat'\n  → did you mean 'learning_rate'?",
        "lora_rank = 0: must be at least 1",
        "optimizer = 'adam': must be one of adamw, adafactor",
        "clip_norm.low: 2.0 is above high = 1.0",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        ({"low": 0.0, "high": 1.0, "log": True}, "a log range cannot start from 0"),
        ({"low": float("nan"), "high": 1.0}, "must be finite"),
        ({"low": 1e-5, "high": float("inf")}, "must be finite"),
        ({"low": 1.0, "high": 0.1}, "is above high"),
        ({"low": 0.1}, "high: is missing"),
        ({"low": 0.1, "high": 1.0, "setp": 0.1}, "unknown key"),
        ({"low": 0.1, "high": 1.0, "step": 0.1, "log": True}, "cannot be combined with log"),
        ({"low": 0.1, "high": 1.0, "step": -1.0}, "must be above 0"),
        ([], "is not a non-empty list"),
        ([0.1, 0.1], "is listed twice"),
        (0.1, "a fixed knob belongs in [train]"),
    ],
)
def test_a_faulty_dimension_is_explained(dimension, expected):
    told = problems({**SMALL, "space": {"weight_decay": dimension}})
    assert len(told) == 1 and expected in told[0] and "weight_decay" in told[0]


@pytest.mark.parametrize("pack", ["auto", 1, 8])
def test_how_many_trials_share_a_device_is_measured_or_said(pack):
    assert spec_file.parse({**SMALL, "resources": {"pack": pack}}).resources.pack == pack
    assert spec_file.parse(SMALL).resources.pack == "auto"


@pytest.mark.parametrize("pack", [0, -2, 1.5, True, "all", [2]])
def test_any_other_number_of_trials_is_refused_in_words(pack):
    (told,) = problems({**SMALL, "resources": {"pack": pack}})
    assert told == f'f.toml [resources]: pack = {pack!r}: must be "auto" or a whole number from 1 to 4096'


def test_what_a_study_says_of_its_search_survives_a_round_trip():
    study = {
        "name": "s", "pruner": "threshold", "threshold": {"upper": 3.0},
        "fixed": {"target_modules": ["q_proj"]},
        "stop_after": {"no_improvement": 20, "gpu_hours": 1.5},
        "constraints": ["memory/alone_bytes <= 22 GiB", "eval/loss > 1", "eval/loss < 2"],
    }  # fmt: skip
    spec = spec_file.parse({**SMALL, "study": study, "space": {"target_modules": ["mlp", ["q_proj"]]}})
    assert spec_file.parse(tomllib.loads(spec_file.write(spec))) == spec
    assert (spec.study.stop_after.gpu_hours, spec.study.stop_after.hours) == (1.5, None)


def test_dimensions_are_read_in_their_three_forms():
    space = spec_file.parse(
        {
            **SMALL,
            "space": {
                "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
                "lora_rank": {"low": 4, "high": 64, "step": 4},
                "target_modules": ["attention", ["q_proj", "v_proj"]],
            },
        }
    ).space
    assert space["learning_rate"] == Range(1e-5, 1e-3, "float", None, True)
    assert space["lora_rank"] == Range(4, 64, "int", 4)
    assert space["target_modules"] == Choice(("attention", ["q_proj", "v_proj"]))


@pytest.mark.parametrize("name", ["../x", "a/b", "", "\x1b[2J", ".hidden", "a..b", "x" * 65, "-rf"])
def test_a_name_that_could_leave_the_folder_is_refused(name):
    assert any("must be 1 to 64" in told for told in problems({**SMALL, "study": {"name": name}}))


def test_a_knob_in_train_and_space_is_refused():
    told = problems({**SMALL, "train": {"seed": 1}, "space": {"seed": [1, 2]}})
    assert "seed is in both [train] and [space]" in told[0]


@pytest.mark.parametrize("sampler", ["grid", "bruteforce"])
def test_a_grid_needs_countable_dimensions(sampler):
    told = problems(
        {
            **SMALL,
            "study": {"name": "s", "sampler": sampler},
            "space": {"learning_rate": {"low": 1e-5, "high": 1.0}},
        }
    )
    assert f"the {sampler} sampler cannot count learning_rate" in told[0]


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        (
            {"lora_rank": 3},
            "fixed.lora_rank = 3: is not a step of 2 from 2\n  → take a value that [space] allows",
        ),
        ({"lora_rank": 99}, "fixed.lora_rank = 99: is not within 2 to 8"),
        ({"lora_rank": "8"}, "fixed.lora_rank = '8': is not a number"),
        ({"optimizer": "adam"}, "fixed.optimizer = 'adam': is not one of adamw, sgd"),
        (
            {"lora_alpha": 16.0},
            "fixed.lora_alpha = 16.0: it is not in [space]\n  → write lora_alpha = … in [train]",
        ),
        ({"lora_rnk": 8}, "[study] fixed: unknown key 'lora_rnk'\n  → did you mean 'lora_rank'?"),
    ],
)
def test_what_cannot_be_fixed_is_told(fixed, expected):
    space = {"lora_rank": {"low": 2, "high": 8, "step": 2}, "optimizer": ["adamw", "sgd"]}
    told = problems({**SMALL, "study": {"name": "s", "fixed": fixed}, "space": space})
    assert expected in told[0] and len(told) == 1


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ({"pruner": "threshold"}, "pruner = 'threshold' has no bound\n  → write threshold = { upper = … }"),
        ({"threshold": {"upper": 3.0}}, "pruner = 'median' takes no threshold\n  → set pruner ="),
        ({"threshold": {"uper": 3.0}}, "[study] threshold: unknown key 'uper'\n  → did you mean 'upper'?"),
        ({"threshold": {"upper": "high"}}, "threshold.upper = 'high': input should be a valid number"),
        ({"stop_after": {"hours": 0}}, "stop_after.hours = 0: input should be greater than 0"),
        (
            {"stop_after": {"gpuhours": 9}},
            "stop_after: unknown key 'gpuhours'\n  → did you mean 'gpu_hours'?",
        ),
        ({"constraints": ["memory/peak <= 22 GiB"]}, "[study] constraints: unknown metric 'memory/peak'"),
        ({"constraints": [3]}, "constraints = 3: input should be a valid string"),
        (
            {"constraints": ["eval/loss <= 2", "eval/loss < 3"]},
            "eval/loss <= 2 and eval/loss < 3 bound the same side\n  → keep the stricter",
        ),
        (
            {"constraints": ["eval/accuracy >= 0.9", "eval/accuracy < 90%"]},
            "no trial can keep both eval/accuracy >= 0.9 and eval/accuracy < 0.9\n  → widen one",
        ),
        ({"threshold": 3.0}, "threshold = 3.0: input should be a valid dictionary"),
        (
            {"pruner": "threshold", "threshold": {"lower": 3.0, "upper": 3.0}},
            "threshold.lower = 3 is not below upper = 3\n  → swap them",
        ),
    ],
)
def test_tables_of_a_study_are_checked_in_words(study, expected):
    (told,) = problems({**SMALL, "study": {"name": "s", **study}})
    assert expected in told


def test_a_missing_file_names_the_nearest_one(tmp_path):
    (tmp_path / "study.toml").write_text("")
    with pytest.raises(SpecError, match=r"no such file\n  → did you mean .*study\.toml"):
        spec_file.load(tmp_path / "studi.toml")


def test_a_file_that_is_not_toml_says_where(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("[study]\nname = demo\n")
    with pytest.raises(SpecError, match=r"is not TOML: .*line 2"):
        spec_file.load(path)


def test_paths_beside_the_file_become_absolute(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n")
    path = tmp_path / "s.toml"
    path.write_text('[study]\nname="s"\n[model]\nbase="org/m"\n[data]\nsource="rows.jsonl"\n')
    spec = spec_file.load(path)
    assert spec.data.source == str(tmp_path / "rows.jsonl")
    assert spec.model.base == "org/m"


def test_a_link_keeps_its_name_and_a_colon_is_no_hub(tmp_path):
    """Caches keep files under their sums and link to them by their names; folders are named by the time."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "3f2a9c").write_text("")
    (tmp_path / "out_10:30").mkdir()
    (tmp_path / "out_10:30" / "held.jsonl").write_text("")
    (tmp_path / "train.jsonl").symlink_to("blobs/3f2a9c")
    (tmp_path / "demo:stdlib").write_text("")
    file = tmp_path / "s.toml"
    for source, found in (("train.jsonl", str(tmp_path / "train.jsonl")), ("demo:stdlib", "demo:stdlib")):
        data = f'[data]\nsource = "{source}"\nvalidation = "out_10:30/held.jsonl"\n'
        file.write_text(f'[study]\nname = "s"\n[model]\nbase = "org/name"\n{data}')
        whole = spec_file.load(file)
        assert whole.data.source == found and whole.model.base == "org/name"
        assert whole.data.validation == str(tmp_path / "out_10:30" / "held.jsonl")
