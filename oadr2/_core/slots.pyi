"""Compiled code only: see slots.pxd."""
