"""Delta debugging: a smaller input that still shows the same fault."""

from __future__ import annotations

from collections.abc import Callable

from fuzzing.mutations import spans


def minimised(data: bytes, fails: Callable[[bytes], bool], tries: int = 3000) -> bytes:
    """Whole elements left out first, then ever shorter pieces of bytes, as long as it still fails.

    ``fails(data)`` is asked at most about ``tries`` times.
    """
    left = tries

    def without(data: bytes, begin: int, end: int) -> bytes | None:
        nonlocal left
        left -= 1
        shorter = data[:begin] + data[end:]
        return shorter if begin < end and fails(shorter) else None

    changed = True
    while changed and left > 0:
        changed = False
        for span in elements_of(data):
            for begin, end in ((span[0], span[3]), (span[1], span[2])):
                shorter = without(data, begin, end)
                if shorter is not None:
                    data, changed = shorter, True
                    break
            if changed or left <= 0:
                break
    size = len(data) // 2
    while size and left > 0:
        at = 0
        while at < len(data) and left > 0:
            shorter = without(data, at, min(at + size, len(data)))
            if shorter is None:
                at += size
            else:
                data = shorter
        size //= 2
    return data


def elements_of(data: bytes) -> list[tuple[int, int, int, int]]:
    try:
        found = spans(data)
    except IndexError:  # more end tags than start tags: bytes only
        return []
    return [(span.begin, span.inner, span.after, span.end) for span in found[1:]]
