"""Compiled code only: see fields.pxd."""

from typing import final

@final
class FieldWriter: ...
