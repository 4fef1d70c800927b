"""The oadrCreatedEvents of a fleet: C functions only (src_ext/oadr2/_core/answers.pxd)."""
