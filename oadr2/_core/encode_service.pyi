"""Compiled code only: see encode_service.pxd."""
