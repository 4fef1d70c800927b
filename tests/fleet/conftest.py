"""Servers for the fleet: nginx, and one that does as a test tells it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nginx_vtn import NginxVtn, require_nginx, stored_list


@pytest.fixture(scope="session")
def nginx() -> Iterator[NginxVtn]:
    """nginx with the lists ``never`` and ``always``."""
    require_nginx()
    lists = {required: stored_list(required) for required in ("never", "always")}
    with NginxVtn(lists) as vtn:
        yield vtn
