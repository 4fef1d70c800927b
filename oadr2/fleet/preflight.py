"""Before a run: has this machine what the scenario needs, and does the VTN answer?

Each finding is one line that says what to raise and how.
"""

from __future__ import annotations

import asyncio
import math
import os
import resource
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from oadr2.errors import ConfigurationError, one_line
from oadr2.fleet.certificates import ClientContexts, check_tls
from oadr2.fleet.endpoint import Endpoint
from oadr2.fleet.scenario import Scenario, shard_of

Severity: TypeAlias = Literal["error", "warning"]

_SPARE_FILES: Final = 64  # of Python, the loop, the live view, the result
_DEFAULT_PORTS: Final = (32768, 60999)
_TIME_WAIT: Final = 60.0  # s for which a port that closed first is not used again
_BYTES_PER_VEN: Final = 500
_BYTES_PER_CONNECTION: Final = 6_000
_BYTES_PER_TLS_CONNECTION: Final = 60_000
_BYTES_PER_CONTEXT: Final = 30_000
_BYTES_PER_CONTEXT_OF_SYSTEM: Final = 1_500_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands in the way (``error``) or may spoil the run (``warning``), in one line."""

    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is: :func:`this_machine` asks the system.

    Attributes:
        files_soft, files_hard: limits of open files.
        ports: local ports for connections, per source address and VTN.
        memory_bytes: available now; None: not known.
    """

    files_soft: int
    files_hard: int
    ports: int
    memory_bytes: int | None


def this_machine() -> Machine:
    """The limits of this process on this machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low, high = _port_range()
    return Machine(_finite(soft), _finite(hard), high - low + 1, _available_memory())


def connections_needed(scenario: Scenario, shard: tuple[int, int] = (0, 1)) -> int:
    """Connections open at a time, at most; of one per poll an estimate, at a second per poll."""
    vens = sum(shard_of(group.count, *shard)[1] for group in scenario.groups)
    plan = scenario.connections
    if plan.kind == "per-ven":
        return vens
    if plan.kind == "pool":
        return min(max(1, shard_of(plan.size, *shard)[1]), vens)
    return min(vens, math.ceil(_polls_per_second(scenario, shard)) + 1)


def check_limits(
    scenario: Scenario, machine: Machine, shard: tuple[int, int] = (0, 1)
) -> list[Finding]:
    """What the machine is short of for this part of the scenario. Changes nothing."""
    needed = connections_needed(scenario, shard)
    return [
        *_files(needed, machine),
        *_ports(scenario, needed, machine, shard),
        *_memory(scenario, needed, machine, shard),
        *_certificates(scenario),
    ]


def raise_file_limit(connections: int) -> int:
    """Raise the soft limit of open files as far as needed and allowed; the limit there is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if _finite(soft) < wanted:
        soft = wanted if _finite(hard) >= wanted else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _finite(soft)


async def check_vtn(scenario: Scenario, vtn_url: str) -> list[Finding]:
    """Can the VTN be reached: its name, its port, its certificate. Nothing is sent."""
    try:
        check_tls(scenario.tls, scenario.connections.kind)
        endpoint = Endpoint(vtn_url)
        context = None
        if endpoint.secure:
            group = scenario.groups[0]
            pattern = group.ven_ids if isinstance(group.ven_ids, str) else group.ven_ids[0]
            first = pattern.replace("{n}", str(group.first_number))
            context = ClientContexts(scenario.tls).context(group.first_number, first)
    except ConfigurationError as error:
        return [Finding("error", str(error))]
    place = f"{endpoint.host} port {endpoint.port}"
    sources = scenario.connections.source_addresses
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(scenario.timeouts.connect):
            transport, _ = await loop.create_connection(
                asyncio.Protocol,
                endpoint.host,
                endpoint.port,
                ssl=context,
                local_addr=(sources[0], 0) if sources else None,
            )
    except socket.gaierror as error:
        return [Finding("error", f"the VTN's name {endpoint.host} is not known: {error.strerror}")]
    except TimeoutError:
        within = f"{scenario.timeouts.connect:g} s"
        return [Finding("error", f"the VTN at {place} does not answer within {within}")]
    except ssl.SSLError as error:
        return [Finding("error", f"the VTN at {place}: {_tls_trouble(error)}")]
    except OSError as error:
        reason = error.strerror or str(error)
        return [Finding("error", f"the VTN at {place} cannot be reached: {one_line(str(reason))}")]
    transport.close()
    await asyncio.sleep(0)
    return []


async def preflight(
    scenario: Scenario, vtn_url: str, *, shard: tuple[int, int] = (0, 1)
) -> list[Finding]:
    """Raise the limit of open files where that is allowed, and say what is in the way of the run."""
    raise_file_limit(connections_needed(scenario, shard))
    return [*check_limits(scenario, this_machine(), shard), *await check_vtn(scenario, vtn_url)]


def _tls_trouble(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {one_line(error.verify_message)} (--ca-file FILE)"
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return "it does not speak TLS: is its address http://?"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return f"the TLS handshake failed: {one_line(reason)}"


def _files(needed: int, machine: Machine) -> list[Finding]:
    wanted = needed + _SPARE_FILES
    if machine.files_hard < wanted:
        return [
            Finding(
                "error",
                f"{needed} connections need {wanted} open files and {machine.files_hard} are allowed:"
                f" ulimit -Hn {wanted} (as root), LimitNOFILE={wanted} in a systemd unit,"
                f" --ulimit nofile={wanted} for a container, or --connections pool:N",
            )
        ]
    if machine.files_soft < wanted:
        return [Finding("error", f"{wanted} open files are needed: ulimit -n {wanted}")]
    return []


def _ports(
    scenario: Scenario, needed: int, machine: Machine, shard: tuple[int, int]
) -> list[Finding]:
    plan = scenario.connections
    addresses = max(1, len(plan.source_addresses))
    room = machine.ports * addresses
    if needed > room:
        more = math.ceil(needed / machine.ports)
        return [
            Finding(
                "error",
                f"{needed} connections need more than the {room} local ports of {addresses} source"
                f" address{'es' * (addresses > 1)}: give {more} source_addresses, or widen"
                " net.ipv4.ip_local_port_range with sysctl",
            )
        ]
    rate = _polls_per_second(scenario, shard)
    if plan.kind == "per-poll" and rate * _TIME_WAIT > room:
        more = math.ceil(rate * _TIME_WAIT / machine.ports)
        return [
            Finding(
                "warning",
                f"{rate:.0f} new connections a second use up {room} local ports in"
                f" {room / rate:.0f} s, and a port rests for {_TIME_WAIT:.0f} s where the VTN"
                f" is not the first to close: give {more} source_addresses",
            )
        ]
    return []


def _memory(
    scenario: Scenario, needed: int, machine: Machine, shard: tuple[int, int]
) -> list[Finding]:
    estimate = memory_needed(scenario, needed, shard)
    if machine.memory_bytes is None or estimate <= machine.memory_bytes:
        return []
    # A little too much may do, for it is an estimate; far too much ends with the system's killer.
    hopeless = estimate > 4 * machine.memory_bytes
    return [
        Finding(
            "error" if hopeless else "warning",
            f"about {_megabytes(estimate)} of memory are needed and {_megabytes(machine.memory_bytes)}"
            " are free: fewer VENs here (--shard i/n), or --connections pool:N",
        )
    ]


def memory_needed(scenario: Scenario, connections: int, shard: tuple[int, int] = (0, 1)) -> int:
    """Bytes for VENs with one event each, their connections and their certificates, estimated."""
    vens = sum(shard_of(group.count, *shard)[1] for group in scenario.groups)
    secure = (scenario.vtn_url or "").startswith("https:")
    each = _BYTES_PER_TLS_CONNECTION if secure else _BYTES_PER_CONNECTION
    total = vens * _BYTES_PER_VEN + connections * each
    if secure and ClientContexts(scenario.tls).per_ven:
        own = scenario.tls.ca_file is not None
        total += connections * (_BYTES_PER_CONTEXT if own else _BYTES_PER_CONTEXT_OF_SYSTEM)
    return total


def _certificates(scenario: Scenario) -> list[Finding]:
    """The files of the first and the last VEN of each group are there."""
    tls = scenario.tls
    if not ClientContexts(tls).per_ven:
        return []
    findings = []
    for group in scenario.groups:
        for place in sorted({0, group.count - 1}):
            n = group.first_number + place
            pattern = group.ven_ids if isinstance(group.ven_ids, str) else group.ven_ids[place]
            ven_id = pattern.replace("{n}", str(n))
            for setting, name in (("cert_file", tls.cert_file), ("key_file", tls.key_file)):
                path = (name or "").replace("{n}", str(n)).replace("{ven_id}", ven_id)
                if path and not Path(path).is_file():
                    findings.append(
                        Finding("error", f"tls.{setting}: {path}, for {ven_id}, is not there")
                    )
    return findings


def _polls_per_second(scenario: Scenario, shard: tuple[int, int]) -> float:
    spike = max((stage.factor for stage in scenario.stages if stage.kind == "spike"), default=1.0)
    steady = sum(
        shard_of(group.count, *shard)[1] / group.poll_interval for group in scenario.groups
    )
    return steady * max(1.0, spike)


def _finite(limit: int) -> int:
    return (1 << 31) if limit == resource.RLIM_INFINITY else limit


def _port_range() -> Sequence[int]:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    except OSError:  # no Linux
        return _DEFAULT_PORTS
    return [int(number) for number in text.split()]


def _available_memory() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:  # no Linux
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    return None


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
