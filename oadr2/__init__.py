"""OpenADR 2.0 virtual end node (VEN) with a compiled core.

``decode`` and ``encode`` turn bytes into messages and back. They and the other modules (``oadr2.event``,
``oadr2.poll``, ...) are imported when first named, so that ``import oadr2`` loads no HTTP library, and
the command ``oadr2`` hears Ctrl-C from its first moment on.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as type checkers know it: typing takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any, Final

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


# Where they are. With the model behind them the two functions take 0.05 s to import.
_PLACES: Final = {
    "decode": "oadr2._core.objects",
    "encode": "oadr2._core.encode",
    "ConfigurationError": "oadr2.errors",
    "LocalProtocolError": "oadr2.errors",
    "OadrError": "oadr2.errors",
    "RemoteProtocolError": "oadr2.errors",
    "StoreError": "oadr2.errors",
    "TransportError": "oadr2.errors",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"oadr2.{name}")
    if name in _PLACES:
        value = getattr(importlib.import_module(_PLACES[name]), name)
        globals()[name] = value  # who asks again finds it without a search
        return value
    raise AttributeError(f"module 'oadr2' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
