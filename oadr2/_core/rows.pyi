"""The rows of an event table: C functions only (src_ext/oadr2/_core/rows.pxd)."""
