"""The compiled core. Sources: src_ext/oadr2/_core in the repository."""
