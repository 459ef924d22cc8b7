"""Memory is known before a trial starts: what fits starts, what never fits is told, what-ifs are answered."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from core import paths
from core.contract.events import event_types as e
from core.contract.spec.spec_file import convert_to_raw, parse
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.wire import console_api, worker_api
from core.daemon.placement import study_device_choice
from core.daemon.placement.forecast_answers import answer, describe_memory_now
from core.daemon.placement.memory_planner import MemoryPlanner
from core.daemon.placement.slot_assignment import TrialSlots
from core.daemon.placement.study_device_choice import Slot
from core.daemon.study.trial_memory_admission import Admission
from core.errors import RefusedError, TrimtabError
from core.memory.records.estimate_corrections import EstimateCorrections

GIB = 2**30
GPU0 = Slot("gpu0", "cuda:0", "0")
QWEN = {
    "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture
def base(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    return str(tmp_path)


def study(base: str, *ranks: int, running: int = 0, memory: str = "auto", pack: object = "auto") -> s.Study:
    """Trials of these ranks, the first ``running`` of them on gpu0."""
    spec = parse({
        "study": {"name": "a", "trials": 20}, "model": {"base": base, "precision": "bf16"},
        "data": {"source": "rows.jsonl"}, "train": {"batch_size": 4, "sequence_length": 1024},
        "space": {"lora_rank": [4, 8, 16, 4096]}, "resources": {"memory": memory, "pack": pack},
    })  # fmt: skip
    state = apply(s.State(), e.StudyCreated(at=1.0, study="a", spec=convert_to_raw(spec), folder="/a"))
    for number, rank in enumerate(ranks):
        knobs = {**spec.train, "lora_rank": rank}
        state = apply(state, e.TrialQueued(at=1.0, study="a", trial=number, params={}, knobs=knobs))
        if number < running:
            told = e.TrialStarting(at=1.0, study="a", trial=number, worker="gpu0-w", device="gpu0")
            state = apply(state, told)
    return state.studies["a"]


def card(total: float, used: float = 0.0, *processes: e.Process) -> s.Machine:
    device = e.Device(
        0,
        "a card",
        "GPU-0",
        used_bytes=round(used * GIB),
        total_bytes=round(total * GIB),
        processes=processes,
    )
    return s.Machine(devices=(device,), workers=(e.Worker("gpu0-w", 77, "gpu0", study="a"),))


def foresight(one: s.Study, machine: s.Machine, ledger: EstimateCorrections | None = None) -> MemoryPlanner:
    return MemoryPlanner(parse(one.spec), [GPU0], lambda: machine, ledger or EstimateCorrections())


def places(one: s.Study, machine: s.Machine) -> TrialSlots:
    pack = one.spec["resources"]["pack"]
    return TrialSlots(pack, [GPU0], foresight(one, machine))


def test_a_trial_that_does_not_fit_beside_the_others_waits_with_the_numbers(base):
    one = study(base, 8, 8, 8, running=2, pack=8)
    there = places(one, card(16))
    assert there.next(one) is None
    (note,) = [note for note in there.notes() if "waits" in note]
    assert note == "trial 2 waits: 17.6 GiB needed with the 2 on gpu0, but the limit is 15.5 GiB"
    assert places(one, card(80)).next(one)[0].number == 2


def test_a_limit_in_the_file_holds_placement_back_though_the_card_has_more(base):
    one = study(base, 8, 8, running=1, memory="12 GiB", pack=8)
    assert places(one, card(80)).next(one) is None


def test_a_neighbour_who_takes_memory_makes_trials_wait_and_our_own_use_does_not(base):
    one = study(base, 8, 8, running=1, pack=8)
    mine = e.Process(77, "python", "me", 12 * GIB)
    other = e.Process(78, "python", "you", 27 * GIB)
    assert places(one, card(40, 12, mine)).next(one)[0].number == 1
    assert places(one, card(40, 39, mine, other)).next(one) is None


def test_alone_a_trial_starts_in_smaller_passes_and_never_only_when_one_row_is_too_much(base):
    one = study(base, 8, pack=1)
    tight = foresight(one, card(6))
    knobs = one.trials[0].knobs
    assert tight.refusal_reason("gpu0", knobs, {}) == ""
    bound = tight.bound("gpu0", {0: knobs})
    assert 1024 <= bound < 4096, "a row goes, the four of a micro-batch do not go at once"
    assert foresight(one, card(80)).bound("gpu0", {0: knobs}) == 0
    never = foresight(one, card(2)).explain_never("gpu0", knobs)
    assert "with one row of 1024 tokens at a time, but the limit on gpu0 is 1.8 GiB" in never


class Search:
    def __init__(self):
        self.told = []

    async def constrain(self, trial, name, violation):
        self.told.append((trial, name, violation))


async def weighed(base, total: float) -> tuple[list[e.Event], list]:
    one, put, search = study(base, 8), [], Search()

    async def happen(event):
        put.append(event)
        return []

    sight = foresight(one, card(total))
    weighing = Admission(sight, TrialSlots(1, [GPU0], sight), search, happen)
    await weighing.check_proposal(one, 0, one.trials[0].knobs)
    return put, search.told


async def test_a_trial_is_weighed_when_it_is_queued_and_the_sampler_is_told_by_how_much_it_fits(base):
    (weight,), told = await weighed(base, 80)
    assert weight.foretold_bytes > GIB
    assert told[0][:2] == (0, "memory") and -1 < told[0][2] < 0


async def test_one_that_never_fits_is_infeasible_before_it_costs_a_step(base):
    put, told = await weighed(base, 2)
    assert isinstance(put[-1], e.TrialInfeasible) and "needs " in put[-1].why
    assert told[0][2] > 0, "above zero is a violation"


def pack(**more) -> e.PackMeasured:
    fields = {
        "at": 1.0, "study": "a", "worker": "gpu0-w", "device": "gpu0", "trials": 1, "tokens": 4096,
        "round_s": 0.1, "base_bytes": GIB, "trial_bytes": {0: 100}, "activation_bytes_per_token": 9e5,
        "used_bytes": 0, "free_bytes": GIB, "total_bytes": 24 * GIB, "widest": 4096, "idle_bytes": GIB,
        "longest": 1024,
    }  # fmt: skip
    return e.PackMeasured(**{**fields, **more})


def test_what_is_measured_corrects_what_is_foretold(base):
    one = study(base, 8, running=1)
    sight = foresight(one, card(80))
    knobs = {0: one.trials[0].knobs}
    before = sight.pack("gpu0", knobs)
    used = GIB + 100 + round(1.5 * before.passing_bytes)
    told = sight.learn(pack(used_bytes=used), knobs)
    after = sight.pack("gpu0", knobs)
    assert after.passing_bytes == pytest.approx(1.5 * before.passing_bytes, rel=1e-3)
    assert told.foretold_bytes == pytest.approx(used, rel=1e-3)
    assert sight.learnt("gpu0") == (pytest.approx(1.5, rel=1e-3), 1)


def test_a_trial_on_an_instance_has_the_memory_of_the_instance_not_of_the_card(base):
    one = study(base, 8)
    parts = [
        e.Device(0, "a card", "GPU-0", used_bytes=0, total_bytes=80 * GIB, mig=True),
        e.Device(100, "a card MIG", "MIG-0", used_bytes=GIB, total_bytes=10 * GIB, parent="GPU-0"),
    ]
    (slot,) = study_device_choice.choose_slots("auto", parts, None)
    machine = s.Machine(devices=tuple(parts))
    sight = MemoryPlanner(parse(one.spec), [slot], lambda: machine, EstimateCorrections())
    assert (slot.label, slot.visible, slot.torch_device) == ("gpu100", "MIG-0", "cuda:0")
    assert sight.device(slot.label).total_bytes == 10 * GIB
    assert sight.limit(slot.label).bytes_ < 9 * GIB


def test_the_estimate_shares_rows_as_a_worker_that_measured_what_a_pass_costs(base):
    """A dearer pass is shared by more rows, which takes more memory."""
    one = study(base, 8, 8, running=2)
    sight, knobs = foresight(one, card(80)), {number: dict(one.trials[number].knobs) for number in (0, 1)}
    knobs[1]["sequence_length"] = 256
    found = []
    for tokens in (1, 1 << 16):
        sight.learn(pack(trials=0, trial_bytes={}, pass_tokens=tokens), {})
        found.append(sight.pack("gpu0", knobs))
    cheap, dear = found
    assert dear.tokens > cheap.tokens and dear.peak_bytes > cheap.peak_bytes


def test_a_gpus_constants_are_learnt_from_the_driver_and_kept(base):
    one, ledger = study(base, 8, running=1), EstimateCorrections()
    sight = foresight(one, card(80, 8, e.Process(77, "python", "me", 8 * GIB)), ledger)
    knobs = {0: one.trials[0].knobs}
    assert sight.model is not None
    sight.learn(pack(used_bytes=6 * GIB, reserve_bytes=round(1.5 * GIB)), knobs)
    again = foresight(one, card(80), ledger)
    assert again.model is not None
    known = again.device("gpu0")
    assert (known.context_bytes, known.slack) == (GIB // 2, 0.25)


def short(base: str, used: int) -> tuple[s.Study, MemoryPlanner, TrialSlots, Admission, list[float]]:
    """A study on a roomy card, on which memory ended with two trials when ``used`` bytes were taken."""
    one, now = study(base, 8, 8, running=1, pack=8), [0.0]
    sight = MemoryPlanner(
        parse(one.spec), [GPU0], lambda: card(80), EstimateCorrections(), clock=lambda: now[0]
    )
    there = TrialSlots(8, [GPU0], sight, clock=lambda: now[0])
    weighing = Admission(sight, there, Search(), None)
    assert there.next(one) is not None
    told = e.MemoryShort(
        at=1.0, study="a", worker="gpu0-w", device="gpu0", trials=(0, 1), used_bytes=used, text="", moved=1
    )
    weighing.short(one, told)
    return one, sight, there, weighing, now


def test_where_memory_ended_nobody_is_started_again_until_the_worker_is_gone(base):
    one, _, there, weighing, _ = short(base, 9 * GIB)
    assert there.next(one) is None
    weighing.learn(one, pack(trials=0, trial_bytes={}))
    assert there.next(one) is not None


def test_a_neighbour_who_took_memory_may_have_given_it_back_after_a_while(base):
    one, _, there, _, now = short(base, 9 * GIB)
    now[0] = 599.0
    assert there.next(one) is None
    now[0] = 601.0
    assert there.next(one) is not None


def test_memory_that_ended_once_makes_no_trial_infeasible(base):
    one, sight, *_ = short(base, GIB)
    assert sight.explain_never("gpu0", one.trials[0].knobs) == ""
    assert sight.violation(one.trials[0].knobs) < 0
    assert sight.refusal_reason("gpu0", one.trials[0].knobs, {}) == "", "alone it may try, in smaller passes"


def test_a_worker_is_told_of_a_bound_once(base):
    one = study(base, 8, running=1, pack=1)
    sent = []
    worker = SimpleNamespace(name="gpu0-w", device="gpu0", send=True, tell=sent.append)
    sight = foresight(one, card(6))
    weighing = Admission(sight, TrialSlots(1, [GPU0], sight), Search(), None)
    weighing.bind(one, worker)
    weighing.bind(one, worker)
    (bound,) = sent
    assert isinstance(bound, worker_api.Bound) and bound.tokens >= 1024


def test_a_base_is_known_from_the_hub_cache_of_the_study_s_own_environment(tmp_path):
    place = tmp_path / "models--org--base"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    (place / "snapshots" / "abc" / "config.json").write_text(json.dumps(QWEN))
    spec = parse(study("org/base").spec)
    machine = lambda: card(80)  # noqa: E731
    assert MemoryPlanner(spec, [GPU0], machine, EstimateCorrections()).model is None
    assert MemoryPlanner(spec, [GPU0], machine, EstimateCorrections(), hub=tmp_path).model is not None
    assert paths.hub_cache({"HF_HOME": "/x"}) == Path("/x/hub")


def test_a_worker_starts_before_the_first_trial_only_where_one_of_train_would_fit(base):
    def early(one: s.Study, total: float) -> Slot | None:
        sight = foresight(one, card(total))
        weighing = Admission(sight, TrialSlots(1, [GPU0], sight), Search(), None)
        return weighing.early(one, parse(one.spec).train)

    assert early(study(base), 80) == GPU0
    assert early(study(base), 2) is None, "it would load a base for nothing"
    assert early(study(base, 8), 80) is None, "its trials decide"
    paused = apply(s.State({"a": study(base)}), e.StudyPaused(at=2.0, study="a", by="me"))
    assert early(paused.studies["a"], 80) is None


# -- answers ---------------------------------------------------------------------------------------


def ask(one: s.Study, machine: s.Machine, request):
    return answer(foresight(one, machine), one, parse(one.spec), request)


def test_what_if_is_answered_with_the_bar_the_limit_and_what_to_change(base):
    one = study(base, 8, running=1)
    first = ask(one, card(24), console_api.Foresee("a", 0))
    assert first.fits and first.device == "gpu0" and first.limit_bytes and first.foretold.parts
    more = ask(one, card(24), console_api.Foresee("a", 0, {"batch_size": 64}, pack=2))
    assert not more.fits and any("it fits with" in line for line in more.advice)
    less = ask(
        one, card(24), console_api.Foresee("a", 0, {"gradient_checkpointing": True, "precision": "nf4"})
    )
    assert less.foretold.peak_bytes < first.foretold.peak_bytes


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"batch_size": 0}, "must be at least 1"),
        ({"nonsense": 1}, "is not a knob"),
        ({"precision": "fp2"}, "invalid setting"),
    ],
)
def test_what_cannot_be_is_refused_in_words(base, changes, word):
    with pytest.raises(RefusedError, match=word):
        ask(study(base, 8), card(24), console_api.Foresee("a", 0, changes))


def test_a_base_that_is_not_known_is_said_so(tmp_path):
    one = study(str(tmp_path / "nothing"), 8, running=1)
    with pytest.raises(RefusedError, match="no memory estimate is possible"):
        ask(one, card(24), console_api.Foresee("a"))
    now = ask(one, card(24), console_api.WeighMemory("a"))
    assert now.devices[0].foretold is None and "config.json" in now.devices[0].why_not


def test_the_queue_says_what_it_waits_for(base):
    one = study(base, 8, 16, 8, 4096, running=2, pack=8)
    now = ask(one, card(16), console_api.WeighMemory("a"))
    texts = {verdict.trial: verdict.text for verdict in now.queued}
    assert texts[2] == "fits after #0 ends"
    assert texts[3].startswith("never fits: needs ")
    assert now.devices[0].trials == (0, 1) and now.devices[0].foretold is not None
    roomy = ask(study(base, 8, 16, running=1), card(80), console_api.WeighMemory("a"))
    assert roomy.queued[0].text == "fits"


@pytest.mark.parametrize(("pack", "state", "words"), [
    (2, "running", "fits"), (1, "running", "waits for a slot: all are taken, 1 on gpu0"),
    (2, "paused", "waits for resume: the study is paused"),
])  # fmt: skip
def test_a_trial_that_fits_in_memory_says_what_else_it_waits_for(base, pack, state, words):
    one = msgspec.structs.replace(study(base, 8, 16, running=1), state=state)
    now = describe_memory_now(foresight(one, card(80)), one, TrialSlots(pack, [GPU0]).explain_wait)
    assert now.queued[0].text == words


def test_a_limit_below_what_the_base_takes_is_refused_at_the_start(base):
    with pytest.raises(TrimtabError, match="is too small for the base model"):
        foresight(study(base, memory="1 GiB"), card(24)).check("study.toml [resources]")
    with pytest.raises(TrimtabError, match="less than an empty process uses"):
        foresight(study(base, memory="100 MiB"), card(24)).check("study.toml [resources]")
    foresight(study(base), card(24)).check("study.toml [resources]")
