"""A signal to one's own process on a device: asked before, to it alone, and never to trimtab's own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace as changed

import psutil
import pytest
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.wire.local_socket import find_own_name
from tests.tui.scene import four_cards, gpu_packs, state_of, study_events
from tui.devices.process_signals import STEER, Target, explain_refusal, list_own_targets, send_signal

ON_CARDS = state_of(study_events(), four_cards(), gpu_packs())


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def target_of(process: subprocess.Popen) -> Target:
    return Target(process.pid, psutil.Process(process.pid).name(), (0,), 1 << 30, False)


def on_card(process: subprocess.Popen) -> object:
    """The scene, in which the process holds memory of a card, and so does a worker of trimtab's."""
    mine = e.Process(process.pid, psutil.Process(process.pid).name(), find_own_name(), 30 << 30)
    worker = e.Process(4321, "python", find_own_name(), 9 << 30)
    machine = ON_CARDS.machine
    devices = (replace(machine.devices[0], processes=(mine, worker)), *machine.devices[1:])
    return replace(ON_CARDS, machine=replace(machine, devices=devices))


def test_a_signal_goes_to_the_process_that_was_shown_and_to_no_other(sleeper):
    shown = target_of(sleeper)
    assert "is another one now" in send_signal(changed(shown, name="blender"), "KILL")
    assert sleeper.poll() is None
    assert send_signal(shown, "TERM") == "" and sleeper.wait(30) == -15
    assert "has ended already" in send_signal(shown, "TERM")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_a_process_of_another_user_gets_no_signal():
    other = subprocess.Popen(["/bin/sleep", "600"], user=65534, cwd="/")
    assert send_signal(target_of(other), "KILL") == f"process {other.pid} belongs to another user"
    assert other.poll() is None
    other.kill()
    other.wait()


def test_trimtabs_own_processes_are_refused_with_what_to_do_instead(sleeper):
    state = on_card(sleeper)
    first, worker = list_own_targets(state, find_own_name())
    assert (first.pid, worker.pid) == (sleeper.pid, 4321) and not list_own_targets(state, "ada")
    assert explain_refusal(worker, 1) == STEER and explain_refusal(changed(first, pid=77), 77) == STEER
    assert explain_refusal(first, 1) == ""
    shell = changed(first, pid=os.getppid())
    assert explain_refusal(shell, 1) == explain_refusal(changed(first, pid=os.getpid()), 1) == STEER, (
        "the console's own"
    )


def test_a_process_on_several_devices_is_one_target_with_all_its_memory():
    mine = e.Process(77, "python", find_own_name(), 3 << 30)
    devices = tuple(replace(device, processes=(mine,)) for device in ON_CARDS.machine.devices[:2])
    (target,) = list_own_targets(
        replace(ON_CARDS, machine=replace(ON_CARDS.machine, devices=devices)), find_own_name()
    )
    assert (target.pid, len(target.devices), target.used_bytes) == (77, 2, 6 << 30)


async def test_a_signal_is_asked_for_and_only_yes_sends_it(seat, sleeper):
    async with seat(on_card(sleeper), (120, 40)) as you:
        await you.press("d", "exclamation_mark")
        await you.sees("a signal to a process of yours", str(sleeper.pid), "trimtab's worker")
        await you.press("down", "K")
        await you.sees("x prunes a trial")
        await you.press("exclamation_mark", "K")
        await you.sees(f"Send SIGKILL to {psutil.Process(sleeper.pid).name()}", "There is no undo")
        await you.press("enter")
        assert sleeper.poll() is None
        await you.press("exclamation_mark", "enter")
        await you.sees("Send SIGTERM")
        await you.press("y")
        await you.sees(f"SIGTERM was sent to process {sleeper.pid}")
        assert sleeper.wait(30) == -15
        you.app.engine.read_only = True
        await you.press("exclamation_mark")
        await you.sees("no signal is sent from a console that only reads")
