"""``oadr2 points``: points of a gateway out of other programs' files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oadr2.points.volttron import Registry, RegistryPoint


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "points",
        help="points of a gateway out of VOLTTRON's device registry",
        description="Points of a gateway out of other programs' files.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    importing = actions.add_parser(
        "import",
        help="VOLTTRON's device registry (CSV) as [[point]] tables",
        description=(
            "Print the writable rows of a registry of VOLTTRON's Modbus or BACnet driver as\n"
            "[[point]] tables. What to write at each level no registry knows: that is left to you."
        ),
    )
    importing.add_argument("registry", type=Path, metavar="REGISTRY.csv")
    importing.add_argument("--host", metavar="HOST", help="address of the device")
    importing.add_argument("--port", type=int, metavar="N", help="its port, if not the usual one")
    importing.add_argument("--unit", type=int, metavar="N", help="Modbus unit identifier")
    importing.add_argument(
        "--prefix", default="", metavar="TEXT", help="before each name, such as roof-1/"
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables; 1 when the registry has nothing to write to."""
    from oadr2.points.volttron import read_registry  # noqa: PLC0415

    registry = read_registry(args.registry)
    sys.stdout.write("\n".join(_tables(args, registry)))
    if registry.skipped:
        number = len(registry.skipped)
        which = (
            "row can only be read, and was" if number == 1 else "rows can only be read, and were"
        )
        sys.stderr.write(f"{number} {which} left out\n")
    return 0 if registry.points else 1


def _tables(args: argparse.Namespace, registry: Registry) -> list[str]:
    device: dict[str, Any] = {"host": args.host or "HOST"}
    if args.port is not None:
        device["port"] = args.port
    if args.unit is not None and registry.kind == "modbus":
        device["unit"] = args.unit
    return [_table(args, registry.kind, point, device) for point in registry.points]


def _table(
    args: argparse.Namespace, kind: str, point: RegistryPoint, device: dict[str, Any]
) -> str:
    lines = ["[[point]]"]
    keys = {"name": args.prefix + point.name, "driver": kind, **device, **point.keys}
    lines += [f"{key} = {_toml(value)}" for key, value in keys.items()]
    if point.details:
        lines.append(f"# {' '.join(point.details.split())}")
    normal = "?" if point.normal is None else _toml(point.normal)
    lines.append(f"# levels = {{ 0 = {normal}, 1 = ?, 2 = ?, 3 = ? }}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    # Of what stands here, JSON writes texts, numbers and lists as TOML does.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
