"""``oadr2 ven -c gateway.toml``: one VEN of a gateway, by its ``[[ven]]`` table."""

from __future__ import annotations

import argparse

from oadr2.errors import ConfigurationError
from oadr2.toml_file import TomlFile


def is_gateway_file(path: str) -> bool:
    """Whether a settings file is one of ``oadr2 gateway``: it has ``[[ven]]`` tables.

    Raises:
        ConfigurationError: it cannot be read, or is no TOML.
    """
    tables = TomlFile(path).data.get("ven")
    return (
        isinstance(tables, list)
        and bool(tables)
        and all(isinstance(table, dict) for table in tables)
    )


def choose_ven(args: argparse.Namespace) -> None:
    """Make ``--db`` and ``--ven-id`` those of a VEN of the gateway; its points are not looked at.

    Raises:
        ConfigurationError: a table is wrong, there is no such VEN, or it is not said which.
    """
    from oadr2.gateway.ven_settings import read_ven  # noqa: PLC0415 - for such a file only

    file = TomlFile(args.config)
    vens = [read_ven(file, index, table) for index, table in enumerate(file.data["ven"])]
    wanted = args.ven_id or args.ven_name
    known = ", ".join(ven.name for ven in vens)
    # By its own name first: an id of one may be another's name.
    found = [ven for ven in vens if wanted == ven.name] or [
        ven for ven in vens if wanted in (None, ven.ven_id, ven.kept_as)
    ]
    if not found:
        option = "--ven-id" if args.ven_id else "--ven-name"
        raise ConfigurationError(f"{option} {wanted}: not in {file.path}; there is {known}")
    if len(found) > 1:
        raise ConfigurationError(f"--ven-id missing: {file.path} has {known}")
    args.db, args.ven_id, args.ven_name = found[0].db, found[0].kept_as, None
