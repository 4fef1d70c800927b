"""Compiled code only: see markup.pxd."""
