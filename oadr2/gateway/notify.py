"""Telling systemd how the process is: :class:`Systemd` (sd_notify(3), sd_watchdog_enabled(3)).

One datagram to the socket systemd names; no library is needed for that.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

_log = logging.getLogger(__name__)


class Systemd:
    """The service manager, or nobody when the process was not started by one.

    Attributes:
        watchdog: seconds between two signs of life, half of what systemd allows; None: not asked for.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog: float | None = None
        limit = environment.get("WATCHDOG_USEC", "")
        owner = environment.get("WATCHDOG_PID", str(os.getpid()))
        if self._address and limit.isdigit() and int(limit) > 0 and owner == str(os.getpid()):
            self.watchdog = int(limit) / 2e6

    def ready(self) -> None:
        """The gateway is at work."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The file is read again; :meth:`ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The gateway ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The event loop turns."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):  # Linux's abstract sockets
            address = f"\0{address[1:]}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.sendto(message.encode(), address)
        except OSError as error:
            _log.warning("systemd was not told %s: %s", message.partition("=")[0], error)
