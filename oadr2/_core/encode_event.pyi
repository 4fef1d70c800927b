"""Compiled code only: see encode_event.pxd."""
