"""Writing messages: the C writers of the hot path, under one roof with the encoder of model objects."""

from oadr2._core.writer cimport (
    WRITE_CHARACTER,
    WRITE_MEMORY,
    WRITE_VALUE,
    Writer,
    write_created_event,
    write_request_event,
    write_response,
    writer_bytes,
    writer_free,
    writer_init,
)
