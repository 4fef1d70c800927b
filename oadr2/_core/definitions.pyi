"""Events that outlive their message: C functions only (src_ext/oadr2/_core/definitions.pxd)."""
