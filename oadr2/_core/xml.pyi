"""Compiled code only: see xml.pxd."""
