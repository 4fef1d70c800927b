"""Looking things up in the nodes of a service's message, without Python objects (declarations only)."""

from libc.stdint cimport uint32_t
from libc.string cimport strcmp
from services cimport OBJECT_ATTRIBUTE, OBJ_EIRESPONSE

from oadr2._core.message cimport Message, NodeData
from oadr2._core.text cimport Str


cdef inline uint32_t after_node(const Message* m, uint32_t at) noexcept nogil:
    """The node after this one and all that is inside it."""
    return at + 1 if m.nodes[at].type else m.nodes[at].end


cdef inline bint is_attribute(const Message* m, uint32_t of, uint32_t at, const char* name) noexcept nogil:
    return strcmp(OBJECT_ATTRIBUTE[m.nodes[of].object][m.nodes[at].attribute], name) == 0


cdef inline uint32_t find_node(const Message* m, uint32_t of, const char* name) noexcept nogil:
    """The first node of this attribute of object ``of``; 0, the message itself, for none."""
    cdef uint32_t i = of + 1
    while i < m.nodes[of].end:
        if is_attribute(m, of, i, name):
            return i
        i = after_node(m, i)
    return 0


cdef inline Str node_text(const Message* m, uint32_t of, const char* name) noexcept nogil:
    """The text of an attribute, NULL for none."""
    cdef uint32_t i = find_node(m, of, name)
    return m.nodes[i].text if i else Str(NULL, 0)


cdef inline uint32_t response_node(const Message* m) noexcept nogil:
    """The message's eiResponse, 0 for none."""
    cdef uint32_t i = find_node(m, 0, b"response")
    return i if i and m.nodes[i].object == OBJ_EIRESPONSE else 0
