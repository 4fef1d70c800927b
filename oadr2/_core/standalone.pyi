"""Compiled code only: see standalone.pxd."""
