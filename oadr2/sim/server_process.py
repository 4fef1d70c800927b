"""A real server of the distribution in a process of its own, on a free port: :class:`ServerProcess`.

Its configuration and data live in a folder that goes with it. Prosody and Mosquitto are run this way, for
demonstrations and tests.
"""

from __future__ import annotations

import abc
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from oadr2.errors import ConfigurationError, TransportError

_PATIENCE: Final = 30.0  # seconds until it listens
_TRIES: Final = 5  # another program may take the port that was free


def find_server(program: str) -> str | None:
    """The path of a program, or None; Debian keeps daemons where a user's path does not lead."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


class ServerProcess(abc.ABC):
    """Runs a server from :meth:`start` to :meth:`stop`; use it in a ``with``.

    Args:
        port: 0 takes a free one.

    Raises:
        ConfigurationError: the program is not installed.
    """

    name: ClassVar[str]  #: as people write it
    program: ClassVar[str]
    install: ClassVar[str]  #: what to say when it is missing
    log_name: ClassVar[str]  #: of the file it writes its log to, in its folder

    def __init__(self, *, port: int = 0) -> None:
        found = find_server(self.program)
        if found is None:
            raise ConfigurationError(self.install)
        self.port = port
        self._path = found
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def configure(self, folder: Path, port: int) -> list[str]:
        """Write its configuration; the arguments to start it with."""

    def start(self) -> None:
        """Start it, or start it again on the port and with the data it had; returns when it listens.

        Raises:
            TransportError: it does not come up; the message has the end of its log.
        """
        if self._process is not None:
            raise RuntimeError(f"{self.name} runs already")
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=f"oadr2-{self.program}-")
        folder = Path(self._folder.name)
        for _ in range(1 if self.port else _TRIES):
            port = self.port or _free_port()
            if self._listens(port, self.configure(folder, port)):
                self.port = port
                return
        raise TransportError(f"{self.name} does not start: {self._last_words(folder)}")

    def kill(self) -> None:
        """End it as a crash would; :meth:`start` brings it back."""
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
        """End it, and forget its data."""
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

    def _listens(self, port: int, arguments: list[str]) -> bool:
        self._process = subprocess.Popen(  # noqa: S603 - our own configuration, no shell
            [self._path, *arguments],
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

    def _last_words(self, folder: Path) -> str:
        try:
            lines = (folder / self.log_name).read_text("utf-8", "replace").splitlines()
        except OSError:
            return "it wrote no log"
        return " / ".join(lines[-3:]) or "its log is empty"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
