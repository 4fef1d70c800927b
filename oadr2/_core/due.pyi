"""Which of many rows comes due next: C functions only (src_ext/oadr2/_core/due.pxd)."""
