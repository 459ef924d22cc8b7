"""A trial answers a prompt on the screen, and two are compared without their names."""

import json

from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.text.sanitize import REPLACEMENT
from core.contract.views import metric_verdict
from core.contract.wire import console_api
from core.contract.wire.sample_messages import (
    AskSample,
    CancelSample,
    FollowSample,
    RateSamples,
    SampleText,
)
from core.errors import RefusedError
from tests.tui.sampled import Answers
from tests.tui.scene import NOW, no_card, state_of, study_events
from tui.kept_state import FILE, StateFile
from tui.samples import samples_screen
from tui.samples.answer_box import format_answer
from tui.samples.answer_stream import Answer, follow
from tui.samples.blind_rating_results import make_strength_lines, make_summary_line
from tui.samples.prompt_history import PromptHistory
from tui.samples.sample_settings import SampleSettings
from tui.theme_colors import Palette

SCENE = (study_events(), no_card())
LOOK = Palette({})


def of_kind(you, kind: type) -> list:
    return [request for request in you.backend.asked if isinstance(request, kind)]


async def test_a_trial_and_the_base_are_asked_and_a_pair_is_rated_without_names(seat, tmp_path, monkeypatch):
    monkeypatch.setattr(samples_screen, "NAMES_S", 3600.0)
    async with seat(state_of(*SCENE)) as you:
        answers = you.backend.answers = Answers(
            ("first\x1b[2J[bold]", "second", "third", "fourth", "fifth", "sixth")
        )
        await you.press("g", *"jjjjjj", "T")
        await you.sees("tidy-7b › samples", "Enter asks trial 6")
        await you.press("B", "enter", *"what now", "enter")
        await you.sees("first", "second", "trial 6, step 230", "done, 40 tokens", "[bold]")
        first, base = of_kind(you, AskSample)
        assert (first.trial, base.trial, first.prompt) == (6, -1, "what now") and first.seed == base.seed
        assert json.loads((tmp_path / FILE).read_text())["prompts"] == {"tidy-7b": ["what now"]}

        answers.is_endless = True
        await you.press("r")
        await you.sees("writing")
        await you.press("escape")
        await you.until(lambda: len(of_kind(you, CancelSample)) == 2, "both answers to be cancelled")
        await you.sees("cancelled after")
        answers.is_endless = False

        answers.why = "trial 6 is not on this worker"
        await you.press("F", "tab")
        await you.sees(answers.why, "→ ↓ draws the next pair", "↓ next pair")
        assert "← left" not in you.screen(), "there is nothing to rate"
        answers.why = ""
        await you.press("down")
        await you.sees("← left", "= tie", "→ right", "↓ next pair")
        await you.sees("which is better?", "How is tea made?", "first", "second", "done, 40 tokens")
        assert "trial 6" not in you.screen() and "trial 7" not in you.screen()
        await you.press("left")
        rating = RateSamples("tidy-7b", 6, 7, "left", "How is tea made?", True)
        await you.until(lambda: of_kind(you, RateSamples) == [rating], "the rating")
        await you.sees("trial 6, step 230  ✓ better", "trial 7, step 230")
        strengths = {6: Score(0.4, -0.9, 1.7, 1), 7: Score(-0.4, -1.7, 0.9, 1)}
        you.backend.happen(
            e.RatingGiven(
                at=NOW, study="tidy-7b", by="me", left=6, right=7, choice="left", drawn=True,
                strengths=strengths, left_share=Score(1.0, 0.03, 1.0, 1),
            )
        )  # fmt: skip
        await you.sees("1 rating ", "1 of random pairs", "#6", "+0.40", "too few to tell")
        await you.press("down")
        await you.sees("which is better?")
        await you.press("escape", "escape")
        await you.until(lambda: "tidy-7b › samples" not in you.screen(), "the way back")


async def test_a_console_that_only_reads_neither_asks_nor_rates(seat):
    async with seat(state_of(*SCENE)) as you:
        you.app.engine.read_only = True
        await you.press("T")
        await you.sees("This console only reads")
        await you.press("enter", "r", "B", "tab", "left", "down")
        await you.sees("blind pairs")
        assert not you.backend.asked


async def test_a_refusal_says_what_to_do_and_a_cancelled_answer_takes_nothing_more():
    async def refuse(request: console_api.AnyRequest) -> None:
        raise RefusedError.of("trial 3 is queued", "study s", "ask again when it trains")

    request = SampleSettings().make_requests("s", [3], "well")[0]
    refused = Answer(request)
    await follow(refused, refuse, lambda: None)
    assert (refused.stage, refused.fix) == ("refused", "ask again when it trains")

    answer = Answer(request)

    async def cancel_meanwhile(request: console_api.AnyRequest) -> SampleText:
        if isinstance(request, FollowSample):
            assert answer.cancel() == CancelSample("s", "t")
        return SampleText("t", "late", 3, 1, isinstance(request, FollowSample))

    await follow(answer, cancel_meanwhile, lambda: None)
    assert (answer.stage, answer.text.text) == ("cancelled", "late") and answer.cancel() is None


def test_an_answer_is_shown_literally():
    request = SampleSettings().make_requests("s", [3], "well")[0]
    hostile = Answer(request, "done", SampleText("t", "a\x1b[2J\u202eb\n[red]", 3, 1, True))
    assert format_answer(hostile, LOOK).plain == f"a{REPLACEMENT}[2J{REPLACEMENT}b\n[red]"


def test_a_prompt_is_kept_once_as_the_newest_and_a_long_one_only_while_the_console_runs(tmp_path):
    history = PromptHistory(StateFile(tmp_path))
    for prompt in ("one", "two", "one", "x" * 3000):
        history.add("s", prompt)
    assert history.list_prompts("s") == ["two", "one", "x" * 3000]
    assert PromptHistory(StateFile(tmp_path)).list_prompts("s") == ["two", "one"]


def test_a_side_bias_is_a_warning_and_strengths_stand_in_order():
    state = state_of(
        *SCENE,
        [
            e.RatingGiven(
                at=NOW, study="tidy-7b", by="me", left=6, right=7, choice="left",
                strengths={6: Score(-0.5, -1.0, 0.1, 9), 7: Score(0.5, 0.1, 1.0, 9)},
                left_share=Score(0.9, 0.7, 0.99, 20),
            )
        ],
    )  # fmt: skip
    study = state.studies["tidy-7b"]
    assert "⚠ side bias: left in 90% (70% to 99%)" in make_summary_line(study, LOOK).plain
    assert metric_verdict.list_boards(study) == (), "strengths are on no board"
    based = replace(study, base_scores={"feedback/strength": Score(0.0, -0.9, 0.9, 4)})
    rows = [line.plain for line in make_strength_lines(based, 74, LOOK)]
    assert ["#7" in rows[0], "base" in rows[1], "#6" in rows[2]] == [True] * 3
    for width in (46, 74, 116):
        lines = [line.plain for line in make_strength_lines(study, width, LOOK)]
        assert [line.split()[1] for line in lines] == ["#7", "#6"]
        assert all(len(line) <= width for line in lines)
