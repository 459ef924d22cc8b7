"""What a study takes from the shell that it is started in."""

from core.contract.text.secret_redaction import HIDDEN, Redactor
from core.contract.wire import console_api, shell_environment
from core.daemon.recorded_shell_variables import FILE, Environments

ENGINE = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "1", "PATH": "/bin", "HF_TOKEN": "the-engines-own-1"}
TOKEN = "not-like-any-known-token-42"
SHELL = {"HF_HOME": "cache", "HF_TOKEN": TOKEN, "https_proxy": "http://ada:sesame7@proxy:1", "USER": "ada"}


def test_the_few_that_matter_are_sent_and_paths_are_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = shell_environment.read_own(SHELL)
    assert set(found) == {"HF_HOME", "HF_TOKEN", "https_proxy"}
    assert found["HF_HOME"] == str(tmp_path / "cache")
    assert shell_environment.read_own({"HF_HOME": ""}) == {"HF_HOME": ""}


def test_the_shell_rules_and_what_it_does_not_set_is_not_set(tmp_path):
    all_of = Environments(ENGINE)
    assert all_of.of("s") == ENGINE
    told = all_of.take("s", tmp_path, shell_environment.read_own(SHELL))
    whole = all_of.of("s")
    assert "HF_HUB_OFFLINE" not in whole and "CUDA_VISIBLE_DEVICES" not in whole
    assert (whole["HF_TOKEN"], whole["PATH"]) == (TOKEN, "/bin") and "USER" not in whole
    offline = "HF_HUB_OFFLINE is not set in the shell that started the study, and is '1' in the engine's own"
    assert any(one.startswith(offline) for one in told)
    assert all_of.of("another") == ENGINE


def test_who_says_nothing_gets_the_engines(tmp_path):
    all_of = Environments(ENGINE)
    assert all_of.take("s", tmp_path, None) == [] and all_of.of("s") == ENGINE


def test_no_secret_is_told_kept_or_printed(tmp_path):
    all_of = Environments(ENGINE)
    told = all_of.take("s", tmp_path, shell_environment.read_own(SHELL))
    request = console_api.StartStudy({}, environment=shell_environment.read_own(SHELL))
    kept = (tmp_path / FILE).read_text()
    for text in (*told, kept, repr(request)):
        assert not any(secret in text for secret in (TOKEN, "sesame7", "the-engines-own-1"))
    assert any(one.startswith("HF_TOKEN is set in the shell") for one in told)
    assert Redactor({}).redact_text(f"401 for {TOKEN}") == f"401 for {HIDDEN}", "whatever a library prints"


def test_the_next_engine_goes_on_with_what_was_kept(tmp_path):
    shell = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": TOKEN, "CUDA_VISIBLE_DEVICES": "0"}
    Environments({}).take("s", tmp_path, shell)
    later = Environments({"CUDA_VISIBLE_DEVICES": "3", "HF_TOKEN": "of-the-new-shell-7"})
    told = later.take_up("s", tmp_path)
    # the cards of the next job are others, and a token is nowhere but in memory
    assert later.of("s") == {
        "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "3", "HF_TOKEN": "of-the-new-shell-7",
    }  # fmt: skip
    assert [one.split()[0] for one in told] == ["HF_HUB_OFFLINE"]
