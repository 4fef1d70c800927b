"""A Mosquitto of one's own: an MQTT broker on a free loopback port, in a folder that goes with it.

For examples and tests. Needs Mosquitto (Debian: ``apt install mosquitto``).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from oadr2.sim.server_process import ServerProcess, find_server

INSTALL: Final = (
    "Mosquitto is not installed: apt install mosquitto, or see https://mosquitto.org/download"
)


def find_mosquitto() -> str | None:
    """The path of the program, or None."""
    return find_server("mosquitto")


class MosquittoBroker(ServerProcess):
    """Runs Mosquitto; killed, it forgets its retained messages.

    Args:
        users: the users and their passwords; None lets everybody in.
        certificate, key: PEM files; with them it speaks TLS only.
        acl: lines of an access control list, if any.

    Raises:
        ConfigurationError: Mosquitto is not installed.
    """

    name = "Mosquitto"
    program = "mosquitto"
    install = INSTALL
    log_name = "mosquitto.log"

    def __init__(
        self,
        *,
        port: int = 0,
        users: Mapping[str, str] | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        acl: str | None = None,
    ) -> None:
        super().__init__(port=port)
        self._users = users
        self._certificate = certificate
        self._key = key
        self._acl = acl

    def configure(self, folder: Path, port: int) -> list[str]:
        """Its configuration, and what it keeps passwords in."""
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
        return ["-c", str(folder / "mosquitto.conf")]
