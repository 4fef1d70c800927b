"""What a list does to an event table: C functions only (src_ext/oadr2/_core/plan.pxd)."""
