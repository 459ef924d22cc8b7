"""``trimtab hooks``: lists the hooks of ``on_event.toml``, or calls each with a test message."""

from __future__ import annotations

import argparse
import threading

from core import paths
from core.cli import exit_codes
from core.cli.resolve_trial import UsageError
from core.contract.text.sanitize import sanitize
from core.daemon.event_hooks import hook_delivery, hook_messages, hook_settings
from core.daemon.event_hooks.hook_settings import Hook, Hooks
from core.watch.doctor_finding import FAIL, OK, Finding

HELP = "`trimtab help troubleshooting` shows the file"
FIRST = 'desktop.command = ["notify-send", "trimtab", "{text}"]'
BEGIN = f"a first one is the line {FIRST}; then `trimtab hooks test`"


def list_or_test_hooks(arguments: argparse.Namespace) -> int:
    """Print the hooks, or what came of a test of each; code 1 when one fails. Raises UsageError."""
    paths.check_home()
    all_hooks = hook_settings.read(paths.home())
    if all_hooks.problem:
        raise UsageError.of(all_hooks.problem, "", HELP)
    if arguments.action == "list" and not all_hooks.hooks:
        print(f"no hook in {sanitize(_find_place(), 200)}; {BEGIN}")
        return exit_codes.OK
    chosen = _choose(all_hooks, arguments.name)
    if arguments.action == "list":
        for hook in chosen:
            print(_describe(hook))
        return exit_codes.OK
    results = [_test(hook) for hook in chosen]
    return exit_codes.OK if all(results) else exit_codes.FAILURE


def list_findings() -> list[Finding]:
    """Return what `trimtab doctor` says about the file; nothing without one."""
    all_hooks = hook_settings.read(paths.home())
    if not all_hooks.exists:
        return []
    if all_hooks.problem:
        return [Finding("event hooks", FAIL, all_hooks.problem, f"correct it; {HELP}")]
    names = ", ".join(f"{hook.name} ({hook.target()})" for hook in all_hooks.hooks) or "none in the file"
    return [Finding("event hooks", OK, f"{names}; `trimtab hooks test` tries them")]


def _choose(all_hooks: Hooks, name: str | None) -> tuple[Hook, ...]:
    if not all_hooks.hooks:
        raise UsageError.of("there is no hook", _find_place(), BEGIN)
    chosen = tuple(hook for hook in all_hooks.hooks if name in (None, hook.name))
    if not chosen:
        names = ", ".join(hook.name for hook in all_hooks.hooks)
        raise UsageError.of(
            f"there is no hook {sanitize(name or '', 60)!r}", _find_place(), f"it has {names}"
        )
    return chosen


def _find_place() -> str:
    return str(paths.home() / hook_settings.FILE)


def _describe(hook: Hook) -> str:
    kind = "command" if hook.command else "url"
    studies = "" if hook.studies == "*" else f", studies {sanitize(hook.studies, 80)}"
    return f"{sanitize(hook.name, 60)}  {kind} {hook.target()}: {', '.join(hook.events)}{studies}"


def _test(hook: Hook) -> bool:
    outcome = hook_delivery.deliver(hook, hook_messages.make_test(), paths.home(), threading.Event().wait)
    result = "ok" if outcome.ok else "failed"
    print(f"{sanitize(hook.name, 60)} ({hook.target()}): {result}, {outcome.text}", flush=True)
    return outcome.ok
