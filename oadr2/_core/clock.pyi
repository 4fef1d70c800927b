"""xs:dateTime and xs:duration as integers: C functions only (src_ext/oadr2/_core/clock.pxd)."""
