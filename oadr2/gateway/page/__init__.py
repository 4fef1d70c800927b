"""The gateway's status page, ``/metrics``, ``/healthz`` and ``/readyz``: :func:`page_server`."""

from __future__ import annotations

from typing import Final

from oadr2.errors import ConfigurationError
from oadr2.gateway.configuration import PageSettings
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.page.app import PageApp
from oadr2.gateway.secrets import secret_in_environment, secret_in_file
from oadr2.push_server import PushServer

__all__ = ["PageApp", "page_server"]

SHORTEST_TOKEN: Final = 16


def page_server(gateway: Gateway, settings: PageSettings) -> PushServer:
    """A server for the page; ``async with`` it on the loop of the gateway.

    Raises:
        ConfigurationError: the token cannot be read, or is too short.
    """
    token = None
    if settings.token_file is not None:
        token = secret_in_file("[gateway]", "page_token_file", settings.token_file)
    elif settings.token_env is not None:
        token = secret_in_environment("[gateway]", settings.token_env)
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ConfigurationError(
            f"[gateway]: the page's token is shorter than {SHORTEST_TOKEN} characters: "
            "make one with openssl rand -hex 16"
        )
    app = PageApp(gateway, token=token, hosts=settings.hosts)
    return PushServer(app, settings.host, settings.port)
