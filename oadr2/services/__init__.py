"""The services of 2.0b beside EiEvent, without I/O: registration, reports and opts.

Each takes and gives model objects; :class:`oadr2.ven_20b.Ven20b` makes bytes of them and decides
what is sent when.
"""
