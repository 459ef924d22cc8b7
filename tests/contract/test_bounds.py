"""Whatever stands in a file or a request: it is refused in words, or it can be kept and sent everywhere."""

import json
import math
import os

import msgspec
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.contract import input_size_limits
from core.contract.events import event_types
from core.contract.spec import spec_file
from core.contract.spec.knob_table import KNOBS
from core.contract.spec.spec_schema import SECTIONS
from core.contract.wire import console_api, message_codec, worker_api
from core.errors import RefusedError, SpecError

SMALL = {
    "study": {"name": "s", "trials": 3, "sampler": "random", "pruner": "none"},
    "model": {"base": "none"},
    "data": {"source": "none"},
    "train": {"steps": 20},
    "space": {"lora_rank": [2, 4, 8], "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}},
}
EDGES = st.sampled_from(
    [-1, 0, 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, True, False, "", "x" * 5000,
     0.0, -0.0, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf, "x0.5", "auto",
     "\x00", "safety/toxicity <= 1"]
)  # fmt: skip
LEAVES = EDGES | st.integers() | st.floats() | st.text(max_size=20) | st.booleans()
ANYTHING = st.recursive(
    LEAVES, lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=8), one, max_size=4),
    max_leaves=8,
)  # fmt: skip
KEYS = st.sampled_from(
    [(name, key) for name, kind in SECTIONS.items() for key in kind.model_fields]
    + [(name, key) for name in ("train", "space") for key in KNOBS]
)
DIMENSIONS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("low", "high", "step", "log", "otherwise"), LEAVES)
) | st.lists(LEAVES, max_size=4)
EXAMPLES = int(os.environ.get("TRIMTAB_EXAMPLES", "15"))  # 2,000 for a longer look
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)


def changed(changes: dict) -> dict:
    raw = {name: dict(section) for name, section in SMALL.items()}
    for (section, key), value in changes.items():
        raw.setdefault(section, {})[key] = value
    return raw


def refused_or_kept(raw: dict) -> None:
    """In words; or it goes through the journal, the database's JSON and back, and is the same study."""
    try:
        whole = spec_file.parse(raw)
    except SpecError as error:
        assert error.problems and all(len(str(problem)) < 3000 for problem in error.problems)
        return
    resolved = spec_file.convert_to_raw(whole)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(resolved)) == resolved
    assert json.loads(json.dumps(resolved, allow_nan=False)) == resolved
    assert spec_file.parse(resolved) == whole


@quick
@given(st.dictionaries(KEYS, ANYTHING | DIMENSIONS, min_size=1, max_size=2))
def test_any_value_of_any_key_is_refused_in_words_or_can_be_kept(changes):
    refused_or_kept(changed(changes))


@quick
@given(ANYTHING | st.dictionaries(st.sampled_from(spec_file.SECTION_NAMES), ANYTHING))
def test_any_table_is_no_study_in_words(raw):
    refused_or_kept(raw if isinstance(raw, dict) else {"study": raw})


@settings(quick, max_examples=EXAMPLES // 2)
@given(st.dictionaries(KEYS, ANYTHING, max_size=2), st.text(max_size=30))
def test_any_toml_file_is_checked_in_words(tmp_path_factory, changes, tail):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    try:
        path.write_text(tomli_w.dumps(changed(changes)) + tail, "utf-8", errors="replace")
    except ValueError:  # a whole number with more digits than Python writes
        return
    try:
        spec_file.load(path)
    except SpecError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        pytest.param("x = " + "[" * 900 + "]" * 900, "more than 32 deep", id="brackets"),
        pytest.param("[train]\nseed = " + "9" * 5000, "a number in it is too long", id="digits"),
        ("[train]\nseed = 0x" + "f" * 5000, "train.seed: a whole number beyond 100 digits"),
        ("[study]\nseed = 18446744073709551616", "less than or equal to 4294967295"),
        ("[study]\ntrials = 9223372036854775808", "less than or equal to 1000000"),
        ("[resources]\npack = 99999999999999999999", "from 1 to 4096"),
        ('[resources]\nmemory = "' + "9" * 400 + '"', "must be a size"),
        ("[resources]\nmemory = 9223372036854775808", "at most 2^60"),
        ("[space]\nlora_rank = [" + ",".join(map(str, range(1, 3000))) + "]", "2999 values; at most 1000"),
        ("[evaluate]\nlimits = [" + '"safety/toxicity <= 1", ' * 2000 + "]", "at most 1000 items"),
        ('[[study.objectives]]\nmetric = "eval/loss"\nfoo = 1', "objectives.0.foo: unknown key"),
        ("[evaluate]\nevery = 9223372036854775808", "less than or equal to 1000000000"),
        ("\n".join(f"k{number} = 1" for number in range(5000)), "4980 more unknown sections"),
    ],
)
def test_a_study_file_is_told_the_bound(tmp_path, tail, said):
    path = tmp_path / "study.toml"
    path.write_text(tail)
    with pytest.raises(SpecError) as told:
        spec_file.load(path)
    assert said in str(told.value)
    assert len(told.value.problems) < 60


# -- requests --------------------------------------------------------------------------------------

TABLES = st.dictionaries(st.sampled_from(["study", "resources", "evaluate", "space", "train", "x"]), ANYTHING)
FIELDS = {
    "study": st.just("s") | ANYTHING,
    "trial": st.just(0) | ANYTHING,
    "changes": TABLES | st.dictionaries(st.sampled_from(list(KNOBS)), ANYTHING) | ANYTHING,
    "knobs": st.dictionaries(st.sampled_from(list(KNOBS)), ANYTHING) | ANYTHING,
    "spec": st.dictionaries(KEYS, ANYTHING, max_size=2).map(changed) | ANYTHING,
}


def requests() -> st.SearchStrategy:
    """Every request, each of its fields as it should be or anything else."""
    kinds = [
        st.fixed_dictionaries(
            {"type": st.just(kind.__struct_config__.tag)},
            optional={name: FIELDS.get(name, ANYTHING) for name in kind.__struct_fields__},
        )
        for kind in console_api.AnyRequest.__args__
    ]
    return st.one_of(kinds)


@settings(quick, max_examples=2 * EXAMPLES)
@given(requests())
def test_what_comes_through_the_door_can_be_sent_on_and_shown(raw):
    for read, encode in (
        (message_codec.read_request, json.dumps),
        (_from_console, msgspec.msgpack.encode),
    ):
        try:
            body = encode(raw)
        except (OverflowError, UnicodeEncodeError, ValueError):  # this door cannot even be told it
            continue
        try:
            request = read(body if isinstance(body, bytes) else body.encode())
        except msgspec.DecodeError as error:
            assert input_size_limits.explain_error(error)
            continue
        message_codec.encode(request)
        assert len(repr(request)) < 10_000_000


def _from_console(body: bytes) -> console_api.AnyRequest:
    ask = b"\x83\xa4type\xa3ask\xa2id\x01\xa7request" + body
    return message_codec.read_from_console(ask).request


def test_the_bound_of_a_request_is_said():
    mark = b'{"type":"mark-trial","study":"s","trial":0,"priority":99999999999999999999}'
    with pytest.raises(msgspec.DecodeError) as told:
        message_codec.read_request(mark)
    assert input_size_limits.explain_error(told.value) == "priority must be at most 1000000"
    note = msgspec.json.encode(console_api.MarkTrial("s", 0, note="x" * 501))
    with pytest.raises(msgspec.DecodeError) as told:
        message_codec.read_request(note)
    assert input_size_limits.explain_error(told.value) == "note may have at most 500 characters"


# -- workers ---------------------------------------------------------------------------------------

REPORT = {
    "type": "trial-reported",
    "at": 1.0,
    "study": "s",
    "trial": 0,
    "step": 1,
    "elapsed_s": 1.0,
    "metrics": {},
}


@pytest.mark.parametrize(
    "wrong",
    [{"at": math.nan}, {"at": math.inf}, {"at": -1.0}, {"step": 2**63}, {"step": -1}, {"elapsed_s": math.nan},
     {"elapsed_s": 1e300}, {"trial": 2**64 - 1}, {"metrics": {str(one): 1.0 for one in range(5000)}}],
)  # fmt: skip
def test_a_worker_tells_no_number_that_cannot_be(wrong):
    raw = msgspec.msgpack.encode({"type": "told", "number": 1, "event": REPORT | wrong})
    with pytest.raises(msgspec.DecodeError):
        message_codec.read_from_worker(raw)


def test_a_loss_that_is_no_number_is_a_reading_all_the_same():
    raw = msgspec.msgpack.encode(
        {"type": "told", "number": 1, "event": REPORT | {"metrics": {"x": math.nan}}}
    )
    told = message_codec.read_from_worker(raw)
    assert isinstance(told, worker_api.Told) and isinstance(told.event, event_types.TrialReported)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (
            console_api.ChangeStudy("s", {"study": {"trials": 10**30}}),
            "changes.study.trials: a whole number beyond",
        ),
        (console_api.MarkTrial("s", 0, note="a\udcffb"), "note: a text with half a character"),
    ],
)
def test_what_cannot_even_be_sent_is_refused_before_it_is(request_, told):
    with pytest.raises(RefusedError, match=told):
        message_codec.encode_request(request_)
