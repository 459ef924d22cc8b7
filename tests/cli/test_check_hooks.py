"""`trimtab hooks`: how to begin, what each hook is for, and what comes of a test."""

from __future__ import annotations

import sys

from core.cli import exit_codes
from core.cli.main import main
from core.cli.plan import check_hooks
from core.daemon.event_hooks import hook_settings
from core.watch.doctor_finding import FAIL


def test_without_a_file_the_list_says_how_to_begin_and_that_beginning_works(home, capsys):
    assert main(["hooks", "list"]) == exit_codes.OK
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(f"no hook in {home / 'on_event.toml'}; a first one is the line ")
    assert main(["hooks", "test"]) == exit_codes.BAD_INPUT
    assert check_hooks.FIRST in capsys.readouterr().err
    path = home / hook_settings.FILE
    path.write_text(check_hooks.FIRST)
    path.chmod(0o600)
    assert main(["hooks", "list"]) == exit_codes.OK
    events = ", ".join(hook_settings.ALL_KINDS)
    assert capsys.readouterr().out == f"desktop  command notify-send: {events}\n"
    (finding,) = check_hooks.list_findings()
    assert finding.found == "desktop (notify-send); `trimtab hooks test` tries them"


def test_a_hook_that_fails_its_test_makes_the_command_fail_and_the_chosen_one_alone_is_called(home, capsys):
    path = home / hook_settings.FILE
    lines = [
        f'{name}.command = ["{sys.executable}", "-S", "-E", "-c", "raise SystemExit({code})"]'
        for name, code in (("good", 0), ("bad", 3))
    ]
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    assert main(["hooks", "test", "good"]) == exit_codes.OK
    assert "bad" not in capsys.readouterr().out
    assert main(["hooks", "test"]) == exit_codes.FAILURE
    assert "): ok, exit code 0\nbad (" in capsys.readouterr().out
    assert main(["hooks", "test", "other"]) == exit_codes.BAD_INPUT
    assert "it has good, bad" in capsys.readouterr().err
    path.chmod(0o666)
    assert main(["hooks", "list"]) == exit_codes.BAD_INPUT
    assert "others may write to it" in capsys.readouterr().err
    (finding,) = check_hooks.list_findings()
    assert finding.level == FAIL and "others may write to it" in finding.found
