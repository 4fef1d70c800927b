"""Files that are read as a whole, and never without end: ``/dev/zero`` is a file, too."""

from __future__ import annotations

import errno
import os
from typing import IO, Final

#: Bytes; no certificate, secret or settings file comes near it.
MOST: Final = 64 << 20


def read_whole(path: str | os.PathLike[str], most: int = MOST) -> bytes:
    """What is in the file.

    Raises:
        OSError: it cannot be read, or holds more than ``most`` bytes; ``strerror`` says so.
    """
    with open(path, "rb") as file:
        return read_stream(file, most, path)


def read_stream(stream: IO[bytes], most: int, name: str | os.PathLike[str]) -> bytes:
    """The same of a stream, to its end."""
    data = stream.read(most + 1)
    if len(data) > most:  # how much more nobody has looked
        size = f"{most >> 20} MiB" if most % (1 << 20) == 0 else f"{most} bytes"
        raise OSError(
            errno.EFBIG, f"it is larger than {size}, the most that is read", os.fspath(name)
        )
    return data
