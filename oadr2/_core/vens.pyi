"""The VENs of a fleet as rows: C functions only (src_ext/oadr2/_core/vens.pxd)."""
