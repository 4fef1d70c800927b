"""What a VEN of 2.0b must remember over a restart, as texts under keys: :class:`ServiceState`.

Keys have a path's form, ``registration`` or ``report/request/RR_1``, so that one part of a VEN can
read back all it has written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from oadr2.store import EventStore


class ServiceState(Protocol):
    """Texts under keys, changed several at a time, whole or not at all."""

    def load(self, prefix: str) -> dict[str, str]:
        """Every text whose key begins with ``prefix``, in the order of the keys."""

    def save(self, changes: Mapping[str, str | None]) -> None:
        """Write texts, and forget those under None; durable on return.

        Raises:
            StoreError: nothing was written.
        """


class MemoryState:
    """Forgets everything when the process ends."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def load(self, prefix: str) -> dict[str, str]:
        """As :meth:`ServiceState.load`."""
        return {k: self._values[k] for k in sorted(self._values) if k.startswith(prefix)}

    def save(self, changes: Mapping[str, str | None]) -> None:
        """As :meth:`ServiceState.save`; it cannot fail."""
        for key, value in changes.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value


class StoredState:
    """Keeps the texts beside the events of one VEN, in its :class:`oadr2.store.EventStore`."""

    def __init__(self, store: EventStore, ven_id: str) -> None:
        self._store = store
        self._ven_id = ven_id

    def load(self, prefix: str) -> dict[str, str]:
        """As :meth:`ServiceState.load`.

        Raises:
            StoreError: the file cannot be read.
        """
        return self._store.get_values(self._ven_id, prefix)

    def save(self, changes: Mapping[str, str | None]) -> None:
        """As :meth:`ServiceState.save`."""
        self._store.put_values(self._ven_id, changes)


def state_beside(store: tuple[EventStore, str] | None) -> ServiceState:
    """What goes with :attr:`oadr2.event.EventHandler.store`: kept there, or until the process ends."""
    return MemoryState() if store is None else StoredState(*store)
