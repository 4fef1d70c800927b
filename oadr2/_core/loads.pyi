"""What the VENs of a group consume (src_ext/oadr2/_core/loads.pyx); not for Python."""
