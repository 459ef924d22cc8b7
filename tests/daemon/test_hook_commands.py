"""The command of a hook: what it is given, and what becomes of one that hangs, fails or says too much."""

from __future__ import annotations

import time
from pathlib import Path

from core.daemon.event_hooks import hook_delivery
from core.daemon.event_hooks.hook_settings import Hook
from tests.daemon.test_event_hooks import command, deliver


def test_a_command_gets_the_event_on_standard_input_and_in_its_environment(tmp_path):
    code = (
        "import json, os, sys; print(json.load(sys.stdin)['event'], os.environ['TRIMTAB_EVENT'], sys.argv[1])"
    )
    outcome = deliver(Hook("a", command(code, "{text}; $(date)")), tmp_path)
    assert outcome.ok
    assert outcome.text == "exit code 0: test test a test by `trimtab hooks test`; $(date)"  # no shell


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(hook_delivery, "LIMIT_S", 1.0)
    code = (
        "import os, subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)']); print(child.pid, flush=True); time.sleep(600)"
    )
    outcome = deliver(Hook("a", command(code)), tmp_path)
    assert not outcome.ok and outcome.text.startswith("killed after 1 s: ")
    pid = int(outcome.text.split()[-1])
    deadline = time.monotonic() + 20
    while _runs(pid) and time.monotonic() < deadline:
        pass
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_output_without_end_is_cut_and_a_secret_in_it_is_hidden(tmp_path):
    code = "print('hf_0123456789abcdefghij'); print('x' * 3_000_000); raise SystemExit(3)"
    outcome = deliver(Hook("a", command(code)), tmp_path)
    assert not outcome.ok and outcome.text.startswith("exit code 3: hf_(redacted) xxx")
    assert len(outcome.text) < 600


def test_a_program_that_does_not_exist_is_named_in_words(tmp_path):
    outcome = deliver(Hook("a", ("no-such-program",)), tmp_path)
    assert outcome == hook_delivery.Outcome(False, "cannot be started: No such file or directory")
