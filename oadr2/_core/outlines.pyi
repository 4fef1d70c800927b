"""Messages of the 2.0b services with gaps (src_ext/oadr2/_core/outlines.pyx); not for Python."""
