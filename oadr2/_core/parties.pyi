"""What a VEN of 2.0b keeps beside its events (src_ext/oadr2/_core/parties.pyx); not for Python."""
