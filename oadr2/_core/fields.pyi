"""Compiled code only: see fields.pxd."""
