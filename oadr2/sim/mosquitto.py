"""A Mosquitto of one's own: an MQTT broker on a free loopback port, in a folder that goes with it.

For examples and tests. Needs Mosquitto (Debian: ``apt install mosquitto``).
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from oadr2.errors import ConfigurationError, TransportError

INSTALL: Final = (
    "Mosquitto is not installed: apt install mosquitto, or see https://mosquitto.org/download"
)
_PATIENCE: Final = 30.0  # seconds until it listens
_TRIES: Final = 5  # another program may take the port that was free


def find_mosquitto() -> str | None:
    """The path of the program, or None."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class MosquittoBroker:
    """Runs Mosquitto from :meth:`start` to :meth:`stop`; use it in a ``with``.

    Args:
        users: the users and their passwords; None lets everybody in.
        certificate, key: PEM files; with them it speaks TLS only.
        acl: lines of an access control list, if any.

    Raises:
        ConfigurationError: Mosquitto is not installed.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        users: Mapping[str, str] | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        acl: str | None = None,
    ) -> None:
        program = find_mosquitto()
        if program is None:
            raise ConfigurationError(INSTALL)
        self.port = port
        self._program = program
        self._users = users
        self._certificate = certificate
        self._key = key
        self._acl = acl
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again on the port it had; returns when it listens.

        Raises:
            TransportError: it does not come up; the message has the end of its log.
        """
        if self._process is not None:
            raise RuntimeError("Mosquitto runs already")
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="oadr2-mosquitto-")
        for _ in range(1 if self.port else _TRIES):
            port = self.port or _free_port()
            self._configure(Path(self._folder.name), port)
            if self._listens(port):
                self.port = port
                return
        raise TransportError(f"Mosquitto does not start: {self._last_words()}")

    def kill(self) -> None:
        """End it as a crash would, retained messages and all; :meth:`start` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay, and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, and remove its folder."""
        self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _configure(self, folder: Path, port: int) -> None:
        lines = [
            f"listener {port} 127.0.0.1",
            f"log_dest file {folder / 'mosquitto.log'}",
            "user root",  # of no effect unless root starts it, who could then not read the folder
            "persistence false",
            "max_queued_messages 0",
            f"allow_anonymous {'true' if self._users is None else 'false'}",
        ]
        if self._certificate is not None and self._key is not None:
            lines += [f"certfile {self._certificate}", f"keyfile {self._key}"]
        if self._users is not None:
            passwords = folder / "passwords"
            passwords.write_text("".join(f"{name}:{word}\n" for name, word in self._users.items()))
            passwords.chmod(0o600)
            hashes = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
            subprocess.run([hashes, "-U", str(passwords)], check=True, capture_output=True)  # noqa: S603
            lines.append(f"password_file {passwords}")
        if self._acl is not None:
            (folder / "acl").write_text(self._acl)
            (folder / "acl").chmod(0o600)
            lines.append(f"acl_file {folder / 'acl'}")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def _listens(self, port: int) -> bool:
        assert self._folder is not None  # noqa: S101 - for the type checker
        self._process = subprocess.Popen(  # noqa: S603 - our own configuration, no shell
            [self._program, "-c", str(Path(self._folder.name) / "mosquitto.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + _PATIENCE
        while self._process.poll() is None and time.monotonic() < give_up:
            try:
                with socket.create_connection(("127.0.0.1", port), 1.0):
                    if self._process.poll() is None:
                        return True
            except OSError:
                time.sleep(0.02)
        self.kill()
        return False

    def _last_words(self) -> str:
        assert self._folder is not None  # noqa: S101 - for the type checker
        log = Path(self._folder.name) / "mosquitto.log"
        try:
            lines = log.read_text("utf-8", "replace").splitlines()
        except OSError:
            return "it wrote no log"
        return " / ".join(lines[-3:]) or "its log is empty"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
