"""Compiled code only: see decode_service.pxd."""
