"""on_event.toml: what happens in a study runs the user's command or is sent to the user's URL, once."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply
from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.event_hooks import event_hooks, hook_delivery, hook_messages, hook_settings
from core.daemon.event_hooks.event_hooks import EventHooks
from core.daemon.event_hooks.hook_settings import Hook
from tests.daemon.conftest import raw_study
from tests.daemon.http_receiver import Receiver

SECRET = "/services/T0/very-secret-part"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.server.shutdown()
    running.server.server_close()


def write_hooks(home: Path, text: str) -> Path:
    home.mkdir(exist_ok=True)
    path = home / hook_settings.FILE
    path.write_text(text)
    path.chmod(0o600)
    return path


def command(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-E", "-c", code, *arguments)


def deliver(hook: Hook, home: Path, pauses: list[float] | None = None) -> hook_delivery.Outcome:
    def pause(seconds: float) -> bool:
        (pauses if pauses is not None else []).append(seconds)
        return False

    return hook_delivery.deliver(hook, hook_messages.make_test(), home, pause)


# -- the file ----------------------------------------------------------------------------------------


def test_hooks_are_read_and_chosen_by_event_and_study(tmp_path):
    write_hooks(
        tmp_path,
        '[desktop]\ncommand = ["notify-send", "{text}"]\n'
        '[phone]\nurl = "https://example.org/x"\nevents = ["study_ended"]\nstudies = "night-*"\n',
    )
    desktop, phone = hook_settings.read(tmp_path).hooks
    assert desktop.wants("trial_failed", ("day",)) and desktop.target() == "notify-send"
    assert phone.wants("study_ended", ("night-1",)) and phone.target() == "example.org"
    assert not phone.wants("trial_failed", ("night-1",)) and not phone.wants("study_ended", ("day",))


def test_without_a_file_there_is_no_hook_and_no_complaint(tmp_path):
    assert hook_settings.read(tmp_path) == hook_settings.Hooks(exists=False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[a]\n", "[a] needs either command or url"),
        ('[a]\ncommand = ["x"]\nurl = "https://e.org"\n', "[a] needs either command or url"),
        ('command = ["x"]\n', "stands in no table"),
        ('[a]\ncommand = "x"\n', "[a] Expected `array`"),
        ('[a]\ncommand = ["x"]\nevents = ["never"]\n', "[a] Invalid enum value 'never'"),
        ('[a]\ncommand = ["x"]\nshell = true\n', "unknown field `shell`"),
        ('[a]\nurl = "http://example.org/secret-part"\n', "example.org must be reached by https"),
        ('[a]\nurl = "https://me:password@example.org"\n', "not supported"),
        ('[a]\nurl = "file:///etc/passwd"\n', "it is not a URL such as"),
        ("[a\n", "line 1"),
    ],
)
def test_a_faulty_file_is_refused_with_the_reason(tmp_path, text, why):
    write_hooks(tmp_path, text)
    found = hook_settings.read(tmp_path)
    assert found.hooks == () and why in found.problem
    assert "secret-part" not in found.problem and "password@" not in found.problem


def test_a_file_that_is_too_large_or_has_too_many_hooks_is_refused(tmp_path):
    write_hooks(tmp_path, '[a]\ncommand = ["x"]\n' + "#" * hook_settings.LARGEST_FILE_BYTES)
    assert "it has more than 64 KiB" in hook_settings.read(tmp_path).problem
    write_hooks(tmp_path, "".join(f'a{number}.command = ["x"]\n' for number in range(17)))
    assert "it has 17 hooks; 16 are possible" in hook_settings.read(tmp_path).problem


def test_a_hook_file_that_others_may_write_to_runs_nothing(tmp_path):
    path = write_hooks(tmp_path, '[a]\ncommand = ["x"]\n')
    path.chmod(0o660)
    assert "others may write to it" in hook_settings.read(tmp_path).problem
    path.chmod(0o600)
    real = path.rename(tmp_path / "elsewhere.toml")
    path.symlink_to(real)
    assert "it is a link" in hook_settings.read(tmp_path).problem
    path.unlink()
    os.mkfifo(path)
    assert "it is not a file" in hook_settings.read(tmp_path).problem


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a file of somebody else")
def test_a_hook_file_of_another_user_runs_nothing(tmp_path, monkeypatch):
    path = write_hooks(tmp_path, '[a]\ncommand = ["x"]\n')
    os.chown(path, 65534, 65534)
    assert "belongs to another user (uid 65534)" in hook_settings.read(tmp_path).problem


# -- a URL -------------------------------------------------------------------------------------------


def test_a_url_gets_the_event_as_json(tmp_path, receiver):
    assert deliver(Hook("a", url=receiver.url + SECRET), tmp_path) == hook_delivery.Outcome(True, "HTTP 200")
    (body,) = receiver.bodies
    assert body["path"] == SECRET and body["event"] == "test" and body["text"].startswith("a test")


def test_a_busy_server_is_tried_three_times_with_longer_pauses(tmp_path, receiver):
    receiver.answers = [(503, {}, "later"), (429, {}, ""), (200, {}, "")]
    pauses: list[float] = []
    assert deliver(Hook("a", url=receiver.url), tmp_path, pauses).text == "HTTP 200 (try 3)"
    assert len(pauses) == 2 and pauses[0] < pauses[1]
    receiver.answers = [(500, {}, "")]
    assert deliver(Hook("a", url=receiver.url), tmp_path).text == "HTTP 500 (try 3)"
    receiver.answers = [(404, {}, "")]
    receiver.bodies.clear()
    assert deliver(Hook("a", url=receiver.url), tmp_path).text == "HTTP 404"
    assert len(receiver.bodies) == 1  # a wrong address stays wrong


def test_a_certificate_that_is_not_trusted_is_not_tried_again(tmp_path, monkeypatch):
    distrust = ssl.SSLCertVerificationError("expired")
    distrust.verify_message = "it has expired"

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError(distrust)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    pauses: list[float] = []
    outcome = deliver(Hook("a", url="https://example.org"), tmp_path, pauses)
    assert (
        "its certificate is not trusted: it has expired" in outcome.text and not outcome.ok and pauses == []
    )


def test_this_machine_is_reached_without_the_proxy_of_the_environment(tmp_path, receiver, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert deliver(Hook("a", url=receiver.url), tmp_path).text == "HTTP 200"


def test_a_value_that_json_lacks_is_left_out():
    message = hook_messages.describe_breach(
        scored(5, float("nan")), "safety/toxicity <= 0.1", "safety/toxicity"
    )
    assert json.loads(message.as_json())["value"] is None and b"NaN" not in message.as_json()


def test_an_engine_that_leaves_does_not_try_again(tmp_path, receiver):
    receiver.answers = [(503, {}, "")]
    outcome = hook_delivery.deliver(
        Hook("a", url=receiver.url), hook_messages.make_test(), tmp_path, lambda seconds: True
    )
    assert outcome.text == "HTTP 503" and len(receiver.bodies) == 1


def test_a_redirect_to_another_host_is_not_followed(tmp_path, receiver):
    other = Receiver()
    receiver.answers = [(302, {"Location": other.url}, "")]
    outcome = deliver(Hook("a", url=receiver.url), tmp_path)
    assert outcome.text == "HTTP 302: a redirect, which is not followed" and not outcome.ok
    assert other.bodies == []
    other.server.shutdown()


def test_the_token_in_a_url_is_never_shown(tmp_path, receiver):
    hook = Hook("a", url=f"{receiver.url}{SECRET}?key=abc%2Bdefgh")
    for said in (f"{SECRET}?key=abc%2Bdefgh", "very-secret-part", "'abc%2Bdefgh'", "'abc+defgh'"):
        receiver.answers = [(400, {}, f"no channel for {said}")]
        outcome = deliver(hook, tmp_path)
        shown = f"{outcome.text} {hook.target()}"
        assert "very-secret-part" not in shown and "defgh" not in shown
        assert shown.startswith("HTTP 400: no channel for ") and "(redacted)" in shown


# -- the events --------------------------------------------------------------------------------------

CREATED = e.StudyCreated(
    at=1.0,
    study="s",
    spec=raw_study(evaluate={"limits": ["safety/toxicity <= 0.1"], "boards": ["safety"]}),
    folder="/s",
)
QUEUED = e.TrialQueued(at=1.0, study="s", trial=0, params={"lora_rank": 2}, knobs={"lora_rank": 2})
STARTING = e.TrialStarting(at=1.0, study="s", trial=0, worker="w", device="cpu")
RUNNING = e.TrialRunning(at=1.0, study="s", trial=0, step=0, total_steps=20)
BEGUN = (CREATED, QUEUED, STARTING, RUNNING)
FAILED = e.TrialFailed(at=3.0, study="s", trial=0, error="no\x1b[31m disk", step=4)
ENDED = e.StudyEnded(at=4.0, study="s", outcome="complete", why="1 of 1 trials complete")


def scored(step: int, value: float) -> e.TrialScored:
    score = Score(value=value, low=value, high=value, samples=1000)
    return e.TrialScored(
        at=2.0, study="s", trial=0, step=step, elapsed_s=1.0, scores={"safety/toxicity": score}
    )


class Watched:
    """Hooks whose deliveries are noted; ``gate`` holds each delivery until it is set."""

    def __init__(self, home: Path, monkeypatch, state: State | None = None) -> None:
        write_hooks(home, '[a]\ncommand = ["x"]\n')
        self.got: list[hook_messages.Message] = []
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(hook_delivery, "deliver", self._deliver)
        self.committer = EventCommitter(Hub(), state)
        self.hooks = EventHooks(self.committer, home)
        self.hooks.take_up()

    def _deliver(self, hook, message, home, pause) -> hook_delivery.Outcome:
        self.gate.wait(30)
        self.got.append(message)
        return hook_delivery.Outcome(True, "")

    def happen(self, *events: e.Event) -> None:
        for event in events:
            self.committer.state = apply(self.committer.state, event)
            self.hooks._watch(event, self.committer.state)

    def texts(self) -> list[str]:
        self.gate.set()
        self.hooks.close()
        return [message.text for message in self.got]


async def test_each_event_is_told_once_and_in_words(tmp_path, monkeypatch):
    watched = Watched(tmp_path, monkeypatch)
    watched.happen(*BEGUN, scored(5, 0.05), scored(10, 0.3), scored(15, 0.4), FAILED, ENDED)
    assert watched.texts() == [
        "trial 0 of s broke the limit safety/toxicity <= 0.1: safety/toxicity is 0.3"
        " (0.3 to 0.3, 1000 samples)",
        "trial 0 of s failed: no�[31m disk",
        "study s is complete: 1 of 1 trials complete",
    ]
    assert json.loads(watched.got[0].as_json())["trial"] == 0


async def test_a_new_study_of_the_same_name_breaks_its_limits_anew(tmp_path, monkeypatch):
    watched = Watched(tmp_path, monkeypatch)
    watched.happen(*BEGUN, scored(5, 0.3), ENDED)
    watched.committer.state = State()
    watched.happen(*BEGUN, scored(5, 0.3))
    watched.texts()
    kinds = [message.kind for message in watched.got]
    assert kinds == ["limit_broken", "study_ended", "limit_broken"]


async def test_what_happened_before_a_restart_is_not_told_again(tmp_path, monkeypatch):
    state = State()
    for event in (*BEGUN, scored(5, 0.3)):
        state = apply(state, event)
    watched = Watched(tmp_path, monkeypatch, state)
    watched.happen(scored(10, 0.4))
    assert watched.texts() == ["the engine is back and continues s"]


async def test_a_slow_hook_delays_nothing_and_what_it_misses_is_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(event_hooks, "LONGEST_QUEUE", 3)
    watched = Watched(tmp_path, monkeypatch)
    watched.gate.clear()
    watched.happen(*BEGUN)
    for _ in range(50):  # none waits: the gate is closed
        watched.hooks._watch(FAILED, watched.committer.state)
    assert "messages dropped by now, the queue is full" in caplog.text
    assert 1 <= len(watched.texts()) <= 3 + 3 + 2


async def test_a_hook_that_fails_is_noted_once_in_the_list_of_events(tmp_path, monkeypatch):
    committer = EventCommitter(Hub())
    hooks = EventHooks(committer, tmp_path)
    hooks.take_up()
    write_hooks(tmp_path, '[a]\ncommand = ["no-such-program"]\n')
    committer.state = apply(committer.state, CREATED)
    for _ in range(2):
        hooks._watch(ENDED, apply(committer.state, ENDED))
    await asyncio.to_thread(hooks.close)
    await asyncio.sleep(0)
    texts = [event.text for entry in committer._inbox for event in entry.events]
    assert texts == ["hook a (no-such-program): study_ended: cannot be started: No such file or directory"]


@pytest.mark.real
def test_an_engine_calls_its_hook_at_the_end_of_a_study_and_when_it_is_back(engine):
    code = "import sys; open('told.txt', 'a').write(sys.stdin.read() + chr(10))"
    write_hooks(engine.home, f"[a]\ncommand = {json.dumps(command(code))}\n")
    told = engine.home / "told.txt"

    def events() -> list[str]:
        return [json.loads(line)["event"] for line in told.read_text().splitlines()] if told.exists() else []

    engine.run(study={"trials": 1})
    engine.until(lambda: events() == ["study_ended"], "the command has run")
    assert json.loads(told.read_text())["best"]["trial"] == 0
    engine.run(study={"trials": 1, "name": "second"}, train={"steps": 1_000_000})
    engine.kill()
    engine.start()
    engine.until(lambda: len(events()) == 2, "it runs again")
    assert events() == ["study_ended", "engine_back"]
