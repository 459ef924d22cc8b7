"""A host to reach by SSH: the real client and server where both are installed, else a stand-in for ssh.

The server speaks over a pipe of the client (``ProxyCommand sshd -i``): nothing listens on the network.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from core import paths
from core.contract.hosts.host_list import Host

SSH, KEYGEN = shutil.which("ssh"), shutil.which("ssh-keygen")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
PRIVILEGES = Path("/run/sshd")  # a server that root runs needs this folder
REAL = bool(SSH and KEYGEN and SSHD and (os.getuid() or PRIVILEGES.is_dir()))

CONFIG = """
Host *
  IdentityFile {folder}/key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  ProxyCommand {sshd} -i -e -f {folder}/sshd_config
"""
SERVER = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/allowed
StrictModes no
UsePAM no
PidFile none
"""
# Understands what trimtab says to ssh, and runs the command here.
STAND_IN = """
import os, socket, subprocess, sys, threading
words, forward = sys.argv[1:], None
while words[0] != "--":
    word = words.pop(0)
    if word in ("-o", "-p", "-l", "-L"):
        value = words.pop(0)
        forward = value if word == "-L" else forward
host, command = words[1], words[2]
def copy(source, target):
    try:
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(listener, remote):
    while True:
        line, far = listener.accept()[0], socket.socket(socket.AF_UNIX)
        try:
            far.connect(remote)
        except OSError:
            print("channel 2: open failed: connect failed: open failed", file=sys.stderr, flush=True)
            line.close()
            continue
        threading.Thread(target=copy, args=(line, far), daemon=True).start()
        threading.Thread(target=copy, args=(far, line), daemon=True).start()
if forward:
    local, remote = forward.split(":")
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0o177)
    listener.bind(local)
    listener.listen()
    threading.Thread(target=serve, args=(listener, remote), daemon=True).start()
process = subprocess.Popen(["/bin/sh", "-c", command])
import signal
signal.signal(signal.SIGTERM, lambda *_: (process.kill(), os._exit(255)))
sys.exit(process.wait())
"""


class SshHost:
    """``bin`` belongs at the beginning of PATH. The host's trimtab has its home in ``home``."""

    def __init__(self, folder: Path, home: Path, real: bool) -> None:
        self.folder, self.home, self.bin = folder, home, folder / "bin"
        self.bin.mkdir(parents=True)
        if real:
            self._write_keys()
            self._write_program("ssh", f'exec {SSH} -F {folder}/config "$@"')
        else:
            (folder / "ssh.py").write_text(STAND_IN)
            self._write_program("ssh", f'exec {sys.executable} -S -E {folder}/ssh.py "$@"')
        start = "import sys; from core.cli.main import main; sys.exit(main(sys.argv[1:]))"
        python = (
            f"PYTHONPATH={shlex.quote(str(paths.find_root()))} exec {sys.executable} -P -c "
            f"{shlex.quote(start)}"
        )
        self.trimtab = self._write_program("trimtab-there", f'{python} "$@"')

    def host(self, **changes: str) -> Host:
        usual = {"name": "gpu2", "address": "gpu2"}
        usual |= {"home": str(self.home), "command": str(self.trimtab)}
        return Host(**(usual | changes))

    def _write_program(self, name: str, text: str) -> Path:
        program = self.bin / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o700)
        return program

    def _write_keys(self) -> None:
        for name in ("key", "host"):
            command = [str(KEYGEN), "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(command, check=True, capture_output=True)
        shutil.copy(self.folder / "key.pub", self.folder / "allowed")
        words = (self.folder / "host.pub").read_text().split()
        (self.folder / "known").write_text(f"* {words[0]} {words[1]}\n")
        for name, text in (("config", CONFIG), ("sshd_config", SERVER)):
            (self.folder / name).write_text(text.format(folder=self.folder, sshd=SSHD))
