"""Compiled code only: see service_objects.pxd."""
