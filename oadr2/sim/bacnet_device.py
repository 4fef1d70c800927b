"""A simulated BACnet/IP device, in a process of its own, for examples and tests::

    python -m oadr2.sim.bacnet_device --port 47809

It has the commandable objects analog-output 1 to 4, binary-output 1 and multi-state-output 1, an
analog-value 1 that is not commandable, and an analog-input 1. It takes lines on its standard input
and answers each with a present value, or ``none`` where there is no such object:

* ``analog-output 1`` asks;
* ``analog-output 1 33`` commands it at priority 1, as a fire panel would: it still accepts what others
  write and does nothing about it;
* ``analog-output 1 null`` lets it go again.

Needs bacpypes3 (``pip install 'oadr2[bacnet]'``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import Sequence

from oadr2.errors import ConfigurationError

try:
    from bacpypes3.ipv4.app import NormalApplication
    from bacpypes3.local.analog import AnalogInputObject, AnalogOutputObject, AnalogValueObject
    from bacpypes3.local.binary import BinaryOutputObject
    from bacpypes3.local.device import DeviceObject
    from bacpypes3.local.multistate import MultiStateOutputObject
    from bacpypes3.pdu import IPv4Address
    from bacpypes3.primitivedata import Null, ObjectIdentifier
except ModuleNotFoundError:
    reason = "a simulated BACnet device needs bacpypes3: pip install 'oadr2[bacnet]'"
    if __name__ == "__main__":
        sys.exit(f"error: {reason}")
    raise ConfigurationError(reason) from None

#: The present value of each analog output that nobody commands.
RELINQUISH_DEFAULT = 20.0
HIGHEST_PRIORITY = 1  # manual life safety


async def serve(host: str, port: int) -> None:
    """Answer until standard input ends."""
    application = NormalApplication(
        DeviceObject(objectIdentifier=("device", 1), objectName="simulated", vendorIdentifier=999),
        IPv4Address(f"{host}:{port}"),
    )
    for number in range(1, 5):
        application.add_object(
            AnalogOutputObject(
                objectIdentifier=("analog-output", number),
                objectName=f"setpoint {number}",
                presentValue=RELINQUISH_DEFAULT,
                units="percent",
            )
        )
    application.add_object(
        BinaryOutputObject(
            objectIdentifier=("binary-output", 1),
            objectName="relay",
            presentValue="inactive",
            polarity="normal",
        )
    )
    application.add_object(
        MultiStateOutputObject(
            objectIdentifier=("multi-state-output", 1),
            objectName="mode",
            presentValue=1,
            numberOfStates=4,
        )
    )
    for kind, made in (("analog-value", AnalogValueObject), ("analog-input", AnalogInputObject)):
        application.add_object(
            made(objectIdentifier=(kind, 1), objectName=kind, presentValue=7.0, units="percent")
        )
    server = application.normal.server
    while server.local_transport is None:
        await asyncio.sleep(0.01)
    print(f"listening {server.local_transport.get_extra_info('sockname')[1]}", flush=True)

    if not (sys.stdin.isatty() or stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode)):
        await asyncio.Event().wait()  # nobody asks there, as under systemd or nohup
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            kind, instance, *value = line.decode().split()
            found = application.get_object_id(ObjectIdentifier((kind, int(instance))))
        except ValueError:  # an empty line, or no name of an object
            found, value = None, []
        if found is not None and value:
            commanded = Null(()) if value[0] == "null" else type(found.presentValue)(value[0])
            await found.write_property("presentValue", commanded, priority=HIGHEST_PRIORITY)
        print(float(found.presentValue) if found is not None else "none", flush=True)
    application.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Be a device until standard input ends, or Ctrl-C where that is neither a pipe nor a terminal."""
    parser = argparse.ArgumentParser(prog="python -m oadr2.sim.bacnet_device")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=47808, help="0 takes a free one")
    options = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
