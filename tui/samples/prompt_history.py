"""The prompts that were typed, study by study, kept in the home folder."""

from __future__ import annotations

from tui.kept_state import StateFile

PROMPTS = "prompts"  # the key of our part of the file
MOST = 50  # prompts of a study
LONGEST = 2000  # characters of one that is kept


class PromptHistory:
    """Keeps prompts, the newest last."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._prompts: dict[str, list[str]] = {}

    def list_prompts(self, study: str) -> list[str]:
        """Return the prompts of a study."""
        if study not in self._prompts:
            kept_prompts = self._file.read(PROMPTS).get(study)
            prompts = kept_prompts if isinstance(kept_prompts, list) else []
            self._prompts[study] = [text for text in prompts if isinstance(text, str) and text][-MOST:]
        return self._prompts[study]

    def add(self, study: str, prompt: str) -> None:
        """Keep a prompt as the newest."""
        prompts = [text for text in self.list_prompts(study) if text != prompt][1 - MOST :]
        self._prompts[study] = [*prompts, prompt]
        if len(prompt) <= LONGEST:
            self._file.keep(PROMPTS, study, self._prompts[study])
