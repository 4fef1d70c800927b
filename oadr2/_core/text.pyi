"""Compiled code only: see text.pxd."""
