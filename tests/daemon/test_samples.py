"""Samples by a real engine and a scripted worker, and blind ratings that are never lost."""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from core.contract.metric_score import Score
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.state.thinned_series import Series, add
from core.contract.wire import message_codec, worker_api
from core.contract.wire.sample_messages import (
    AskPair,
    AskSample,
    CancelSample,
    FollowSample,
    RateSamples,
    SampleText,
)
from core.daemon.answers import blind_comparisons
from core.daemon.workers import sample_relay
from core.daemon.workers.sample_relay import SampleRelay
from core.errors import RefusedError
from tests.daemon.conftest import Engine


def answer_of(engine: Engine, trial: int, prompt: str = "well") -> SampleText:
    text = engine.ask(AskSample("s", trial, prompt))
    while not text.done:
        text = engine.ask(FollowSample("s", text.ticket, text.tokens))
    return text


def test_a_trial_and_the_base_answer_while_it_trains_and_a_rating_outlives_the_engine(engine):
    engine.run(study={"trials": 2}, train={"steps": 100000}, resources={"pack": 2})
    engine.until_study(lambda study: sum(t.has_begun for t in study.trials.values()) == 2, "two train")
    assert answer_of(engine, 1).text == "1 of live says well" and answer_of(engine, -1).tokens == 5
    with pytest.raises(RefusedError, match="does not exist"):
        answer_of(engine, 9)
    with pytest.raises(RefusedError, match="no longer known"):
        engine.ask(FollowSample("s", "gone"))
    endless = engine.ask(AskSample("s", 0, "never"))
    engine.ask(CancelSample("s", endless.ticket))
    with pytest.raises(RefusedError, match="no longer known"):
        engine.ask(FollowSample("s", endless.ticket))
    pair = engine.ask(AskPair("s", base=False))
    assert {pair.left, pair.right} == {0, 1}
    pairs = [engine.ask(AskPair("s", seed)) for seed in range(8)]
    assert -1 in {side for pair in pairs for side in (pair.left, pair.right)}, "the base is compared, too"
    for _ in range(3):
        engine.ask(RateSamples("s", 1, 0, "left", "a prompt", by="me"))
    before = engine.study()
    assert before.trials[1].scores["feedback/strength"].value > 0
    engine.kill()
    engine.start()
    after = engine.study()
    assert after.ratings == before.ratings == (s.Rating(1, 0, "left"),) * 3
    assert after.trials[0].scores == before.trials[0].scores
    assert after.left_share.value == 1.0


class RelayedWorker(SimpleNamespace):
    """A worker that notes what it is told."""

    def __init__(self, name: str, answers_samples: bool = True) -> None:
        super().__init__(name=name, send=object(), answers_samples=answers_samples, told=[])
        self.tell = self.told.append


def relay_of(*workers: RelayedWorker) -> SampleRelay:
    crew = SimpleNamespace(of=lambda study: workers, workers={worker.name: worker for worker in workers})
    return SampleRelay(crew)


def test_a_trial_that_trains_is_asked_of_its_worker_and_of_none_of_an_earlier_version():
    first, second, old = RelayedWorker("a"), RelayedWorker("b"), RelayedWorker("c", False)
    trains = s.Trial(0, s.RUNNING, worker="b", clock=add(Series(), 1, 1.0))
    relay_of(first, second).begin(study(trains), AskSample("s", 0, "well"))
    assert [message.trial for message in second.told] == [0] and not first.told
    with pytest.raises(RefusedError, match="earlier version"):
        relay_of(old).begin(study(trains), AskSample("s", -1, "well"))


def test_the_oldest_answer_is_cancelled_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(sample_relay, "MOST", 2)
    worker = RelayedWorker("a")
    relay = relay_of(worker)
    tickets = [relay.begin(study(), AskSample("s", -1, "well")).ticket for _ in range(3)]
    assert [m.ticket for m in worker.told if isinstance(m, worker_api.CancelSample)] == tickets[:1]


async def test_a_reason_of_a_worker_is_made_harmless_and_one_that_ended_gives_no_answer():
    worker = RelayedWorker("a")
    relay = relay_of(worker)
    ticket = relay.begin(study(), AskSample("s", -1, "well")).ticket
    relay.take(RelayedWorker("b"), worker_api.SamplePiece(ticket, "of another worker", 4, done=True))
    relay.take(worker, worker_api.SamplePiece(ticket, done=True, why="no\x1b[2J"))
    assert (await relay.follow(ticket, 0)).why == "no\N{REPLACEMENT CHARACTER}[2J"
    ticket = relay.begin(study(), AskSample("s", -1, "well")).ticket
    relay._crew.workers.clear()
    with pytest.raises(RefusedError, match="its worker ended"):
        await relay.follow(ticket, 0)


def trial(number: int, score: Score | None = None) -> s.Trial:
    scores = {} if score is None else {"feedback/strength": score}
    return s.Trial(number, s.COMPLETE, adapter=f"trials/{number}/adapter", scores=scores)


def study(*trials: s.Trial) -> s.Study:
    return s.Study("s", trials={trial.number: trial for trial in trials})


def test_a_fifth_of_the_pairs_is_random_the_rest_is_close_and_each_side_is_as_likely():
    strengths = (-3.0, -2.9, 0.0, 2.9, 3.0)
    known = study(*(trial(number, Score(value)) for number, value in enumerate(strengths)))
    pairs = [blind_comparisons.find_next_pair(known, range(5), seed) for seed in range(1000)]
    assert 160 <= sum(pair.drawn for pair in pairs) <= 240
    close = {frozenset((pair.left, pair.right)) for pair in pairs if not pair.drawn}
    assert close <= {frozenset(pair) for pair in ((0, 1), (3, 4), (1, 2), (2, 3))}
    assert 450 <= sum(pair.left < pair.right for pair in pairs) <= 550


def test_the_trial_whose_strength_is_known_least_is_compared_next():
    known = study(
        trial(0, Score(0.0, -0.2, 0.2, 60)), trial(1, Score(0.1, -0.2, 0.4, 60)),
        trial(2, Score(0.2, -2.0, 2.4, 2)), trial(3, Score(5.0, 4.0, 6.0, 9)),
    )  # fmt: skip
    pairs = [blind_comparisons.find_next_pair(known, range(4), seed) for seed in range(50)]
    chosen = [(pair.left, pair.right) for pair in pairs if not pair.drawn]
    assert {frozenset(pair) for pair in chosen} == {frozenset((1, 2))}
    assert 10 <= chosen.count((2, 1)) <= len(chosen) - 10, "the least known one stands on either side"


def test_fewer_than_two_trials_that_can_answer_are_not_compared():
    with pytest.raises(RefusedError, match="1 trial can answer now"):
        blind_comparisons.find_next_pair(study(trial(0), s.Trial(1)), [0], 0)
    with pytest.raises(RefusedError, match="0 trials can answer now"):
        blind_comparisons.find_next_pair(study(s.Trial(1)), [-1], 0)


def test_one_trial_is_compared_with_the_base_until_both_are_known_well():
    known = study(trial(0), trial(1, Score(0.0, -0.2, 0.2, 60)))
    pair = blind_comparisons.find_next_pair(known, [0, -1], 0)
    assert {pair.left, pair.right} == {0, -1}
    rated = replace(known, base_scores={"feedback/strength": Score(0.1, -0.1, 0.3, 90)})
    pairs = [blind_comparisons.find_next_pair(rated, [0, 1, -1], seed) for seed in range(20)]
    assert all(0 in (pair.left, pair.right) for pair in pairs if not pair.drawn)


def test_where_a_strength_is_the_objective_only_final_adapters_are_compared():
    spec = {"study": {"objectives": ["feedback/strength"]}}
    trains = replace(trial(2), state=s.RUNNING)
    waiting = replace(study(trial(0), trial(1), trains), spec=spec)
    pairs = [blind_comparisons.find_next_pair(waiting, [0, 1, 2], seed) for seed in range(20)]
    assert {frozenset((pair.left, pair.right)) for pair in pairs} == {frozenset((0, 1))}
    with pytest.raises(RefusedError, match="0 trials can answer now with its final adapter"):
        blind_comparisons.find_next_pair(replace(waiting, trials={2: trains}), [2, -1], 0)


def test_a_person_who_always_prefers_the_left_side_is_seen_and_ties_do_not_count():
    ratings = (s.Rating(0, 1, "left"),) * 20 + (s.Rating(0, 1, "tie"),) * 9
    share = blind_comparisons.measure_side_bias(ratings)
    assert (share.samples, share.value) == (20, 1.0) and share.low > 0.5
    assert blind_comparisons.measure_side_bias(()) is None


def test_a_rating_has_no_prompt_in_it_and_gives_all_their_strength():
    request = RateSamples("s", 0, 1, "right", "my secret prompt", by="me")
    event = blind_comparisons.make_rating_event(study(trial(0), trial(1)), request)
    assert "secret" not in repr(event) and len(event.prompt_hash) == 16
    after = apply(s.State({"s": study(trial(0), trial(1))}), event).studies["s"]
    assert after.trials[1].scores["feedback/strength"].value > 0 > event.strengths[0].value
    assert after.trials[1].latest["feedback/strength"] == event.strengths[1].value


def test_the_oldest_ratings_are_dropped_and_a_number_that_json_lacks_is_no_strength(monkeypatch):
    monkeypatch.setattr(s, "RATINGS", 2)
    state = s.State({"s": study(trial(0), trial(1))})
    for choice in ("left", "right", "tie"):
        event = blind_comparisons.make_rating_event(
            state.studies["s"], RateSamples("s", 0, 1, choice, by="me")
        )
        state = apply(state, event)
    assert [rating.choice for rating in state.studies["s"].ratings] == ["right", "tie"]
    infinite = replace(event, strengths={0: Score(float("inf"), 0.0, float("inf"), 9)})
    after = apply(state, infinite).studies["s"].trials[0]
    assert after.scores["feedback/strength"].value is None and after.scores["feedback/strength"].reason


def test_a_worker_of_an_earlier_version_says_hello_without_samples():
    hello = worker_api.Hello(2, "w", 1, "s", "cpu")
    raw = message_codec.encode(hello).replace(b"\xafanswers_samples\xc2", b"").replace(b"\x89", b"\x88", 1)
    assert message_codec.read_from_worker(raw) == hello
