"""Run ssh for a host without ever asking for a password, and explain in words what went wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import msgspec

from core.contract.hosts.host_list import Host
from core.contract.hosts.study_summary import StudyState
from core.contract.text.sanitize import sanitize, show_value
from core.contract.wire import console_api
from core.errors import EngineError

CONNECT_S, ANSWER_S = 10, 60.0  # a fresh engine takes a few seconds to start
# The host gets no key agent, no display and no command of ~/.ssh/config: only what stands here.
OPTIONS = (
    "-T", "-a", "-x", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}",
    "-o", "PermitLocalCommand=no", "-o", "RemoteCommand=none", "-o", "RequestTTY=no",
)  # fmt: skip
NOT_FOUND = (126, 127)  # exit codes of a shell that cannot run a command
OF_SSH = 255
NO_REASON = "Could not request local forwarding"  # the line before it says why
VARIABLE = "${"  # ssh -L replaces it in a path by this console's variables, and tells the host the result
LOG_IN = (
    "the console cannot ask for a password: load the key into ssh-agent until `ssh {address}` asks nothing"
)
CAUSES = (  # in what ssh says: what it means, and what to do
    ("Permission denied", "{name} refused the key", LOG_IN),
    ("Host key verification failed", "the key of {name} is not known, or it has changed",
     "`ssh {address}` shows it; accept it there if it is the right one"),
    ("Could not resolve", "there is no host of this name", "check the address, or give it in ~/.ssh/config"),
    ("open failed", "sshd on {name} does not reach the engine's socket",
     "its sshd_config must allow AllowStreamLocalForwarding; `trimtab engine status` there says the rest"),
    ("path too long", "the path of a socket is too long for ssh", "use a shorter TRIMTAB_HOME"),
)  # fmt: skip


class Remote(msgspec.Struct, frozen=True):
    """What ``trimtab engine socket`` prints on the host."""

    protocol: int
    version: str
    running: bool
    socket: str
    user: str
    host: str
    studies: tuple[StudyState, ...] = ()

    def describe(self) -> str:
        """Return a few words about the studies."""
        if not self.running:
            waits = f", {_count_studies(self.studies)}" if self.studies else ""
            return f"no engine runs{waits}"
        live = [study.name for study in self.studies if study.is_live]
        studies_text = f": {sanitize(', '.join(live), 60)}" if live else ""
        verb = "runs" if len(live) == 1 else "run"
        return f"{len(live)} of {_count_studies(self.studies)} {verb}{studies_text}"

    def place(self) -> str:
        """Return user and host as they call themselves."""
        return sanitize(f"{self.user}@{self.host}", 60)


def _count_studies(studies: Sequence[object]) -> str:
    return f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}"


def query(host: Host, start: bool = False) -> Remote:
    """Ask the host for its engine's socket; ``start``: start the engine if none runs. Blocking.

    Raises EngineError: not reached, no trimtab there, no engine, another version.
    """
    remote_command = host.make_remote_command("engine", "socket", *(["--start"] if start else []))
    command = ["ssh", *OPTIONS, "-o", "ClearAllForwardings=yes", *host.make_ssh_destination(), remote_command]
    try:
        completed = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_S)
    except subprocess.TimeoutExpired:
        raise EngineError.of(f"{host.name} did not answer in {ANSWER_S:.0f} s", host.address) from None
    except OSError as error:
        raise explain_no_ssh(error) from error
    if completed.returncode:
        raise explain(host, completed.returncode, completed.stderr.decode(errors="replace"))
    return _check(host, _decode(host, completed.stdout))


def _decode(host: Host, output: bytes) -> Remote:
    """Return the answer: the last line, since a login script may print others."""
    lines = output.strip().splitlines()
    try:
        return msgspec.json.decode(lines[-1] if lines else b"", type=Remote)
    except msgspec.DecodeError as error:
        last_line = sanitize(lines[-1].decode(errors="replace"), 100) if lines else "nothing"
        command = host.make_remote_command("engine", "socket")
        fix = f"`ssh {host.address} {command}` should print one JSON object"
        raise EngineError.of(f"the answer of {host.name} is {last_line!r}", host.address, fix) from error


def _check(host: Host, remote: Remote) -> Remote:
    if remote.protocol != console_api.PROTOCOL:
        version = sanitize(remote.version, 40)
        problem = (
            f"trimtab {version} on {host.name} speaks protocol {remote.protocol}, this console"
            f" {console_api.PROTOCOL}"
        )
        raise EngineError.of(problem, host.address, "install the same version on both")
    path = remote.socket
    if not path.startswith("/") or sanitize(path) != path or VARIABLE in path:
        problem = f"{host.name} names a socket that ssh cannot forward: {show_value(path, 100)}"
        raise EngineError.of(problem, host.address, "use a TRIMTAB_HOME there that is a plain path")
    return remote


def explain(host: Host, code: int, errors: str) -> EngineError:
    """Explain why ssh, or the command on the host, failed."""
    lines = [line for line in sanitize(errors, 2000, lines=True).splitlines() if line.strip()]
    lines = [line for line in lines if NO_REASON not in line]
    last = sanitize(lines[-1].strip(), 300) if lines else f"exit code {code}"
    if code == OF_SSH:
        for words, problem, fix in CAUSES:
            if words.lower() in errors.lower():
                names = {"name": host.name, "address": host.address}
                return EngineError.of(problem.format(**names), host.address, fix.format(**names))
        return EngineError.of(
            f"{host.name} is not reached: {last}", host.address, f"try `ssh {host.address}`"
        )
    if code in NOT_FOUND:
        fix = f"install it there, or: `trimtab hosts add {host.name} {host.address} --command PATH`"
        return EngineError.of(f"there is no {host.command} on {host.name}: {last}", host.address, fix)
    if "invalid choice: 'socket'" in errors:
        return EngineError.of(f"the trimtab of {host.name} is too old", host.address, "update it there")
    message = next((line for line in lines if line.startswith("trimtab: ")), last).removeprefix("trimtab: ")
    return EngineError.of(f"{host.name} says: {message}", host.address, "`trimtab doctor` there may say why")


def explain_no_ssh(error: OSError) -> EngineError:
    """Explain that ssh cannot be run here."""
    return EngineError.of(f"ssh cannot be run: {error.strerror}", "PATH", "install the OpenSSH client")
