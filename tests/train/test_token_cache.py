"""Rows are tokenised once: the cache has the rows and notes of a fresh reading, and none of other data."""

import contextlib
import itertools
import json
import os
import stat

import msgspec
import pytest
from transformers import AutoTokenizer

from core import paths
from core.data.cache import cache_key, token_cache
from core.data.defects import row_lengths
from core.data.review import study_scan
from core.train.data import mixture_rows, row_tokenizer
from core.train.data.batches.batch_schedule import BatchSchedule
from core.train.data.dataset import load_data
from core.train.progress_callback import report_nothing
from tests.templates.field_templates import source


@pytest.fixture
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


@pytest.fixture
def file(tmp_path):
    """Rows of many lengths; some are skipped, remarked on or truncated."""
    rows = [{"prompt": f"read {at}", "completion": "open path " * (at % 9)} for at in range(60)]
    rows += [{"prompt": "a", "completion": None}, {"prompt": "<|im_end|>", "completion": "b"}]
    rows += [{"prompt": "read the file " * 300, "completion": "yes"}]
    place = tmp_path / "rows.jsonl"
    place.write_text("".join(json.dumps(row | {"task": f"t{at % 3}"}) + "\n" for at, row in enumerate(rows)))
    return place


@pytest.fixture
def tokenised(monkeypatch):
    """Counts how often rows are read and tokenised."""
    calls = []
    fresh = row_tokenizer.tokenize_rows
    monkeypatch.setattr(row_tokenizer, "tokenize_rows", lambda *told: calls.append(1) or fresh(*told))
    return calls


def shown(data):
    """All that a study sees of its data."""
    parts = [
        [(row.ids.tolist(), row.labels.tolist(), row.parts, row.number, row.planted) for row in rows]
        for rows in (data.train, data.validation)
    ]
    return parts, data.notes, data.dropped, data.kind, data.system, data.most, data.cut_rows


def spec_of(study, file, length=60, **more):
    return study(data={"source": str(file), **more}, train={"sequence_length": length})


def test_the_second_study_reads_the_same_rows_and_notes_from_the_cache(study, tokenizer, file, tokenised):
    first, second = (shown(load_data(spec_of(study, file), tokenizer, report_nothing)) for _ in range(2))
    assert first == second and len(tokenised) == 1
    assert any("skipped" in note for note in first[1]) and any("truncated" in note for note in first[1])


def find_cut(spec):
    """What the checks say of rows that are cut."""
    scans = (scan for _, scan in study_scan.scan_study(spec, {}, 0, lambda _: None))
    return [next(each for each in scan.findings if each.name == row_lengths.CUT) for scan in scans]


def test_checks_count_the_tokens_of_rows_that_are_in_the_cache_and_estimate_others(study, tokenizer, file):
    spec = study(data={"source": str(file)}, train={"sequence_length": 40})
    (found,) = find_cut(spec)
    assert "estimated" in found.detail
    data = load_data(spec, tokenizer, report_nothing)
    (counted,) = find_cut(spec)
    assert counted.detail.startswith("more than 40 tokens, counted in the token cache; ")
    assert (counted.hits, counted.rows) == (data.cut_rows, 54)
    assert "the answer is cut off whole: 1" in counted.detail
    assert "estimated" in find_cut(study(data={"source": str(file)}, train={"sequence_length": 60}))[0].detail
    file.write_text(file.read_text() + "\n")
    assert find_cut(spec) == [found], "another file"


@pytest.mark.parametrize("length", [26, 40, 60, 400])
def test_other_sequence_lengths_are_cut_from_the_longest(study, tokenizer, file, cache, tokenised, length):
    load_data(spec_of(study, file, 200), tokenizer, report_nothing)
    cached = shown(load_data(spec_of(study, file, length), tokenizer, report_nothing))
    assert len(tokenised) == (2 if length > 200 else 1), "what is longer than the cache is tokenised again"
    for place in cache.iterdir():
        (place / "manifest.json").unlink()
    assert cached == shown(load_data(spec_of(study, file, length), tokenizer, report_nothing))


def test_other_content_tokenizer_template_or_keys_have_another_cache(
    study, tokenizer, file, tokenised, cache
):
    load_data(spec_of(study, file), tokenizer, report_nothing)
    load_data(
        spec_of(study, file, prompt_key="completion", completion_key="prompt"), tokenizer, report_nothing
    )
    assert len(tokenised) == 2
    tokenizer.chat_template = source("zephyr")
    load_data(spec_of(study, file), tokenizer, report_nothing)
    assert len(tokenised) == 3
    tokenizer.add_tokens(["read"])
    rows = load_data(spec_of(study, file), tokenizer, report_nothing).train
    assert len(tokenised) == 4 and any(tokenizer.convert_tokens_to_ids("read") in row.ids for row in rows)
    file.write_text(file.read_text().replace("open", "shut"))
    rows = load_data(spec_of(study, file), tokenizer, report_nothing).train
    assert len(tokenised) == 5 and any("shut" in tokenizer.decode(row.ids) for row in rows)
    assert len([place for place in cache.iterdir() if place.is_dir()]) == 5


@pytest.fixture
def name_of(study, tokenizer):
    """The names of the caches of a study with this section, one for each source."""

    def find(**data) -> list[str | None]:
        parts = mixture_rows.list_parts(study(data={"source": "", **data}))
        keys = [cache_key.find_key(spec, tokenizer, "", report_nothing) for _, spec in parts]
        return [key.name if key is not None else None for key in keys]

    return find


@pytest.fixture
def shards(tmp_path):
    """A folder with two files of rows and one of validation rows."""
    place = tmp_path / "shards"
    place.mkdir()
    for name in ("a-1", "a-2", "held"):
        (place / f"{name}.jsonl").write_text(f'{{"prompt": "{name}", "completion": "yes"}}\n')
    return place


@pytest.mark.parametrize("kind", ["pattern", "pattern and file", "folder"])
def test_each_file_counts_for_a_cache_and_so_does_one_that_is_added(name_of, shards, kind):
    data = {
        "pattern": {"source": f"{shards}/a-*.jsonl"},
        "pattern and file": {"source": f"{shards}/a-*.jsonl", "validation": str(shards / "held.jsonl")},
        "folder": {"source": str(shards)},
    }[kind]
    names = [name_of(**data)]
    for changed in ("a-2", "held", "a-3", "b"):
        (shards / f"{changed}.jsonl").write_text('{"prompt": "b", "completion": "yes"}\n')
        names.append(name_of(**data))
    (shards / "a-3.jsonl").unlink()
    names.append(name_of(**data))
    new = [before != after for before, after in itertools.pairwise(names)]
    assert new == [True, kind != "pattern", True, kind == "folder", True] and [None] not in names


def test_a_source_of_a_mixture_has_a_cache_by_its_rows_and_not_by_its_weight(name_of, file):
    def mixed(**changed):
        others = {"name": "b", "where": {"task": "t1"}}
        mixture = [{"name": "a", "where": {"task": "t0"}, **changed}, others]
        return name_of(source=str(file), mixture=mixture, **({"temperature": 3.0} if changed else {}))

    first, second = before = mixed()
    assert None not in before and first != second
    for kept in ({"weight": 3.0}, {"name": "c"}, {"replay": True}):
        assert mixed(**kept) == before
    for changed in ({"where": {"task": ["t0", "t2"]}}, {"validation": 0.2}, {"rows": 5}, {"format": "text"}):
        assert mixed(**changed)[0] not in before and mixed(**changed)[1] == second
    assert name_of(source=str(file), where={"task": "t0"}) == [first], "a study with this source alone"
    file.write_text(file.read_text().replace("open", "shut"))
    assert not set(mixed()) & set(before)


@pytest.mark.parametrize("path", ["../other.jsonl", "/other.jsonl", "https://host/other.jsonl", "linked/*"])
def test_rows_that_are_not_below_their_folder_are_not_cached(name_of, shards, path, tmp_path):
    note = "---\nconfigs:\n- config_name: default\n  data_files: {}\n---\n[text](https://host/page)\n"
    (shards / "README.md").write_text(note.format("a-*.jsonl"))
    assert name_of(source=str(shards)) != [None]
    if "linked" in path:
        (tmp_path / "other").mkdir()
        (shards / "linked").symlink_to(tmp_path / "other")
    (shards / "README.md").write_text(note.format(path))
    assert name_of(source=str(shards)) == name_of(source="owner/name") == [None]


@pytest.mark.parametrize("name", ["manifest.json", "training-ids", "training-rows", "validation-labels"])
@pytest.mark.parametrize("damage", ["shorter", "changed", "link", "gone"])
def test_a_damaged_or_foreign_cache_is_made_again(
    study, tokenizer, file, cache, tokenised, tmp_path, name, damage
):
    before = shown(load_data(spec_of(study, file), tokenizer, report_nothing))
    (place,) = cache.iterdir()
    victim = place / name
    whole = victim.read_bytes()
    victim.unlink()
    if damage == "link":
        (tmp_path / "foreign").write_bytes(whole)
        victim.symlink_to(tmp_path / "foreign")
    elif damage != "gone":
        victim.write_bytes(whole[:-8] if damage == "shorter" else bytes([whole[0] ^ 1]) + whole[1:])
    assert shown(load_data(spec_of(study, file), tokenizer, report_nothing)) == before and len(tokenised) == 2
    assert shown(load_data(spec_of(study, file), tokenizer, report_nothing)) == before and len(tokenised) == 2


def test_a_cache_that_another_user_owns_or_that_has_another_name_is_not_read(
    study, tokenizer, file, cache, tokenised, monkeypatch
):
    load_data(spec_of(study, file), tokenizer, report_nothing)
    (place,) = cache.iterdir()
    with monkeypatch.context() as others:
        others.setattr(paths, "is_own", lambda path: False)
        assert token_cache.load(place.name, 60) is None
    assert token_cache.load(place.name, 60) is not None
    other = place.rename(place.with_name("0" * len(place.name)))
    assert token_cache.load(other.name, 60) is None


def test_a_second_worker_waits_for_the_first_that_tokenises_the_same_rows(cache, monkeypatch):
    told, entered = [], []

    def wait(_):
        told.append("waited")
        held.close()

    monkeypatch.setattr(token_cache.time, "sleep", wait)
    held = contextlib.ExitStack()
    held.enter_context(token_cache.hold("key", report_nothing))
    with token_cache.hold("key", lambda what, *_: told.append(what)):
        entered.append(list(told))
    assert entered == [["waiting for another worker that tokenises these rows", "waited"]]
    with token_cache.hold("other", report_nothing), token_cache.hold("key", report_nothing):
        pass


def test_another_seed_and_a_tokenizer_that_reads_special_tokens_otherwise_have_other_caches(
    study, tokenizer, file
):
    def name(seed: int = 0) -> str | None:
        spec = spec_of(study, file)
        spec = msgspec.structs.replace(spec, study=msgspec.structs.replace(spec.study, seed=seed))
        key = cache_key.find_key(spec, tokenizer, "", report_nothing)
        return key.name if key is not None else None

    before = name()
    assert before == name() != name(1)
    tokenizer.split_special_tokens = True
    assert name() != before
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}"
    assert name() is not None, "of this day"
    tokenizer.chat_template = "{{ strftime_now('%H:%M') }}"
    assert name() is None, "a template with the time of day gives other tokens each minute"


def test_the_cache_is_private_and_rows_are_views_of_its_files(study, tokenizer, file, cache):
    load_data(spec_of(study, file), tokenizer, report_nothing)
    (place,) = cache.iterdir()
    assert stat.S_IMODE(cache.stat().st_mode) == stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in place.iterdir()} == {0o600}
    row = load_data(spec_of(study, file), tokenizer, report_nothing).train[0]
    assert not row.ids.flags.owndata and not row.ids.flags.writeable


def test_where_nothing_can_be_written_the_rows_are_tokenised(study, tokenizer, file, monkeypatch, tmp_path):
    (tmp_path / "no folder").write_text("")
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "no folder"))
    assert load_data(spec_of(study, file), tokenizer, report_nothing).train


@pytest.mark.parametrize("name", ["rows.jsonl", "rows-2.jsonl"])
def test_a_file_that_changes_or_comes_while_rows_are_read_is_not_cached(
    study, tokenizer, file, cache, monkeypatch, name
):
    fresh = row_tokenizer.tokenize_rows

    def changing(*told):
        with (file.parent / name).open("a") as changed:
            changed.write('{"prompt": "a", "completion": "b"}\n')
        return fresh(*told)

    monkeypatch.setattr(row_tokenizer, "tokenize_rows", changing)
    load_data(spec_of(study, file.parent / "rows*.jsonl"), tokenizer, report_nothing)
    assert not [place for place in cache.iterdir() if place.is_dir()]


def test_caches_that_were_used_least_recently_make_room(study, tokenizer, file, cache, monkeypatch):
    load_data(spec_of(study, file), tokenizer, report_nothing)
    (first,) = cache.iterdir()
    size = sum(each.stat().st_size for each in first.iterdir())
    monkeypatch.setenv("TRIMTAB_CACHE_SIZE", str(5 * size // 2))  # room for two
    load_data(spec_of(study, file, validation=0.2), tokenizer, report_nothing)
    (second,) = set(cache.iterdir()) - {first}
    for place, used_at in ((first, 2000), (second, 1000)):
        os.utime(place / "manifest.json", (used_at, used_at))
    load_data(spec_of(study, file, validation=0.3), tokenizer, report_nothing)
    left = set(cache.iterdir())
    assert first in left and second not in left and len(left) == 2
    monkeypatch.setenv("TRIMTAB_CACHE_SIZE", "1")
    load_data(
        spec_of(study, file, prompt_key="completion", completion_key="prompt"), tokenizer, report_nothing
    )
    (last,) = cache.iterdir()
    assert last not in left


def test_a_resumed_trial_sees_the_rows_that_it_would_have_seen(study, tokenizer, file):
    spec = spec_of(study, file, 40)
    knobs = {"seed": 3, "batch_size": 2, "gradient_accumulation": 2, "steps": 40}
    fresh, cached = (load_data(spec, tokenizer, report_nothing).shorten(40)[0] for _ in range(2))
    whole = [
        [row.ids.tolist() for batch in BatchSchedule(fresh, knobs).micro_batches(at) for row in batch]
        for at in range(40)
    ]
    resumed = BatchSchedule(cached, knobs)
    later = [
        [row.ids.tolist() for batch in resumed.micro_batches(at) for row in batch] for at in range(17, 40)
    ]
    assert later == whole[17:]
