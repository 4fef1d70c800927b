"""Judging one event: C functions only (src_ext/oadr2/_core/judge.pxd)."""
