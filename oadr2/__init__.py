"""OpenADR 2.0 virtual end node (VEN) with a compiled core.

``decode`` and ``encode`` turn bytes into messages and back. The other modules (``oadr2.event``,
``oadr2.poll``, ...) are imported when first named, so that ``import oadr2`` loads no HTTP library.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Final

from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2.errors import (
    ConfigurationError,
    LocalProtocolError,
    OadrError,
    RemoteProtocolError,
    StoreError,
    TransportError,
)

if TYPE_CHECKING:
    from oadr2 import (
        control,
        errors,
        event,
        model,
        policy,
        poll,
        poll_20b,
        push,
        push_20b,
        schedule,
        schema,
        security,
        sim,
        store,
        ven,
        xmpp,
        xmpp_20b,
    )

# A constant: asking importlib.metadata would double the import time. pyproject.toml reads it here.
__version__: Final = "0.1.0"

_ROOMS: Final = frozenset(
    {
        "control",
        "errors",
        "event",
        "model",
        "policy",
        "poll",
        "poll_20b",
        "push",
        "push_20b",
        "schedule",
        "schema",
        "security",
        "sim",
        "store",
        "ven",
        "xmpp",
        "xmpp_20b",
    }
)

__all__ = [
    "ConfigurationError",
    "LocalProtocolError",
    "OadrError",
    "RemoteProtocolError",
    "StoreError",
    "TransportError",
    "__version__",
    "control",
    "decode",
    "encode",
    "errors",
    "event",
    "model",
    "policy",
    "poll",
    "poll_20b",
    "push",
    "push_20b",
    "schedule",
    "schema",
    "security",
    "sim",
    "store",
    "ven",
    "xmpp",
    "xmpp_20b",
]


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return importlib.import_module(f"oadr2.{name}")
    raise AttributeError(f"module 'oadr2' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
