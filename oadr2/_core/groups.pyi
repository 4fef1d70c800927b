"""Groups of VENs that share a configuration: C functions only (src_ext/oadr2/_core/groups.pxd)."""
