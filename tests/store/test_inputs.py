"""Trials on other rows, or on another base, are not ranked together in silence."""

from __future__ import annotations

import os

import pytest

from core.contract.spec import spec_file
from core.data.cache import cache_key
from core.data.readers.folder_splits import find_splits
from core.store import input_change_check
from core.store.input_change_check import InputsChangedError
from core.store.input_fingerprints import fingerprint_data


@pytest.fixture
def files(tmp_path):
    """A study's data, validation rows and base, and the folder of the study."""
    for name in ("study", "base", "base/old"):
        (tmp_path / name).mkdir()
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n' * 50)
    (tmp_path / "held.jsonl").write_text('{"text": "b"}\n' * 5)
    (tmp_path / "base/config.json").write_text("{}")
    (tmp_path / "base/model.safetensors").write_bytes(b"\0" * 4096)
    return tmp_path


@pytest.fixture
def spec(files):
    raw = {
        "study": {"name": "s"},
        "model": {"base": str(files / "base")},
        "data": {"source": str(files / "rows.jsonl"), "validation": str(files / "held.jsonl")},
        "space": {"lora_rank": [2, 4]},
    }
    return spec_file.parse(raw)


@pytest.fixture
def begun(spec, files):
    input_change_check.note(spec, files / "study")
    input_change_check.add_hashes(spec, files / "study", lambda: False)
    return lambda: input_change_check.refuse_changed(spec, files / "study", lambda *_: None)


def touch(path, at=1_000_000_000):
    os.utime(path, (at, at))


def test_what_is_as_it_was_goes_on(begun):
    begun()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.jsonl", b'{"text": "a"}\n' * 20, "the data changed .*280 bytes, 700 before"),
        ("rows.jsonl", b'{"text": "a"}\n' * 49 + b'{"text": "b"}\n', "different content of the same size"),
        ("held.jsonl", b'{"text": "c"}\n' * 5, "the data changed"),
        ("base/model.safetensors", b"\0" * 4095 + b"\1", "the model changed"),
        ("base/config.json", b'{"a": 1}', "the model changed"),
        ("base/model-2.safetensors", b"more", "3 files, 2 before"),
    ],
    ids=["fewer rows", "a label", "validation", "weights", "config", "a shard"],
)
def test_other_rows_and_another_base_are_refused_with_what_to_do(begun, files, name, content, told):
    (files / name).write_bytes(content)
    with pytest.raises(InputsChangedError, match=told) as caught:
        begun()
    assert "restore it and run the study again, or start a new study" in str(caught.value)


def test_a_file_that_is_gone_is_named(begun, files):
    (files / "held.jsonl").unlink()
    with pytest.raises(InputsChangedError, match=r"data.validation = .*held.jsonl.*no longer exists"):
        begun()


def test_the_same_content_is_the_same_whatever_its_time(begun, files):
    """Copied back, restored from a backup, or only touched."""
    kept = (files / "rows.jsonl").read_bytes()
    (files / "rows.jsonl").unlink()
    (files / "rows.jsonl").write_bytes(kept)
    touch(files / "base/model.safetensors")
    begun()


def test_a_file_of_the_same_size_and_time_is_looked_into(begun, files):
    """As rsync and a careful editor leave it: the time of the content is not the whole truth."""
    rows = files / "rows.jsonl"
    before = rows.stat()
    rows.write_bytes(b'{"text": "z"}\n' * 50)
    os.utime(rows, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputsChangedError, match="same size"):
        begun()


def test_what_lies_beside_the_data_and_is_not_read_may_change(tmp_path, spec, files):
    folder = files / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_text("{}\n")
    raw = spec_file.convert_to_raw(spec)
    of_folder = spec_file.parse({**raw, "data": {"source": str(folder)}})
    input_change_check.note(of_folder, files / "study")
    (folder / "notes.log").write_text("today")
    (folder / ".hidden.json").write_text("{}")
    (files / "base/old/model.safetensors").write_bytes(b"of another day")
    input_change_check.refuse_changed(of_folder, files / "study")
    (folder / "train-2.jsonl").write_text("{}\n")
    with pytest.raises(InputsChangedError, match="2 files, 1 before"):
        input_change_check.refuse_changed(of_folder, files / "study")


def test_files_that_a_readme_names_outside_the_folder_count_as_inputs(tmp_path, files):
    (tmp_path / "set").mkdir()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a-1.jsonl").write_text('{"text": "a"}\n')
    head = "a: ~\nb: [/, ..]\nconfigs:\n- {split: train, path: ['../more/a-*.jsonl', \"../held.jsonl\"]}\n"
    (tmp_path / "set/README.md").write_text(f"---\n{head}---\n../study /etc\n")
    raw = {"study": {"name": "s"}, "model": {"base": "org/m"}, "data": {"source": str(tmp_path / "set")}}
    spec = spec_file.parse(raw | {"space": {"lora_rank": [2, 4]}})
    assert len(input_change_check.list_places(spec)) == 3
    input_change_check.note(spec, files / "study")
    (tmp_path / "more/a-1.jsonl").write_text('{"text": "other"}\n')
    with pytest.raises(InputsChangedError, match="18 bytes, 14 before"):
        input_change_check.refuse_changed(spec, files / "study")


def test_a_look_alone_sums_nothing_and_is_sure_of_what_it_tells(spec, files, begun):
    touch(files / "rows.jsonl")
    input_change_check.refuse_changed(spec, files / "study")  # a worker looks closer
    (files / "rows.jsonl").write_text("{}\n")
    with pytest.raises(InputsChangedError):
        input_change_check.refuse_changed(spec, files / "study")


def test_a_change_before_the_sum_was_made_is_a_change(spec, files):
    input_change_check.note(spec, files / "study")
    (files / "rows.jsonl").write_bytes(b'{"text": "z"}\n' * 50)
    input_change_check.add_hashes(
        spec, files / "study", lambda: False
    )  # must not take the new content for the first
    with pytest.raises(InputsChangedError, match="rewritten before its content was hashed"):
        input_change_check.refuse_changed(spec, files / "study", lambda *_: None)


def test_the_first_note_stands(spec, files, begun):
    (files / "rows.jsonl").write_text("{}\n")
    input_change_check.note(spec, files / "study")
    with pytest.raises(InputsChangedError):
        begun()


def test_a_sum_ends_when_the_engine_leaves(spec, files):
    input_change_check.note(spec, files / "study")
    input_change_check.add_hashes(spec, files / "study", lambda: True)
    assert {one.sum for one in input_change_check.read(files / "study").values()} == {None}


def test_large_weights_are_summed_by_blocks_and_data_is_summed_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(input_change_check, "WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(input_change_check, "BLOCK_BYTES", 16)
    for name, read in (("a.safetensors", 256 * 16), ("a.jsonl", 2 << 20)):
        (tmp_path / name).write_bytes(b"\0" * (2 << 20))
        assert sum(len(part) for part in input_change_check._read_parts(tmp_path / name)) == read


def test_a_study_of_an_earlier_version_has_no_note_and_goes_on(spec, files):
    input_change_check.refuse_changed(spec, files / "study", lambda *_: None)


def test_the_hubs_branch_may_move_and_the_study_stays_on_its_commit(files, spec, monkeypatch):
    """Another worker, online again, would load what was pushed meanwhile."""
    monkeypatch.setenv("HF_HUB_CACHE", str(files / "hub"))
    refs = [files / "hub" / one / "refs" for one in ("models--org--base", "datasets--org--rows")]
    for ref in refs:
        ref.mkdir(parents=True)
        (ref / "main").write_text("a" * 40)
    raw = {**spec_file.convert_to_raw(spec), "model": {"base": "org/base"}, "data": {"source": "org/rows"}}
    of_hub = spec_file.parse(raw)
    for _ in range(2):
        input_change_check.hold_commits(of_hub, files / "study")
    (refs[1] / "main").write_text("b" * 40)
    with pytest.raises(InputsChangedError, match=r"the data is at commit b+, but the study began with a+:"):
        input_change_check.hold_commits(of_hub, files / "study")
    assert sorted(one.name for one in (files / "study").iterdir()) == ["commits.json"]


def test_rows_in_a_linked_folder_are_watched_as_they_are_read(files):
    elsewhere, rows = files / "elsewhere", files / "rows"
    for folder in (elsewhere, rows, rows / "more"):
        folder.mkdir()
    (rows / "a.jsonl").write_text('{"text": "a"}\n')
    (elsewhere / "b.jsonl").write_text('{"text": "b"}\n')
    (rows / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(rows)  # a circle
    spec = spec_file.parse(
        {"study": {"name": "s"}, "model": {"base": str(files / "base")}, "data": {"source": str(rows)}}
    )
    read = [file.name for file in find_splits(rows)["train"]]
    assert read == ["a.jsonl", "b.jsonl"]
    before, stamps = fingerprint_data(str(rows), "train").sha256, cache_key.stamp_places(spec)
    input_change_check.note(spec, files / "study")
    (elsewhere / "b.jsonl").write_text('{"text": "another"}\n')
    with pytest.raises(InputsChangedError, match=r"data.source"):
        input_change_check.refuse_changed(spec, files / "study")
    assert fingerprint_data(str(rows), "train").sha256 != before
    assert cache_key.stamp_places(spec) != stamps, "no token cache of the rows before is used"
