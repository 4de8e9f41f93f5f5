"""What an ONNX file's graph is made of, read from its bytes before anything runs it.

Loops and branches hold a graph within the graph, and may run for ever, where no signal is heard;
what striate exports has none. Only lengths are followed: weights are passed over.
"""

from collections.abc import Iterator

# Fields of ONNX's messages, by their numbers in onnx.proto.
_GRAPH, _FUNCTION = 7, 25  # of a model
_NODE_OF_GRAPH, _NODE_OF_FUNCTION = 1, 7
_ATTRIBUTE = 5  # of a node
_INNER = frozenset((6, 11))  # of an attribute: a graph, graphs
_LONGEST = 10  # bytes of a number

Content = memoryview | None


def has_inner_graphs(content: bytes) -> bool:
    """Tell whether a node of a model holds a graph; ValueError where the bytes are no model."""
    for number, model in _fields(memoryview(content)):
        nodes = {_GRAPH: _NODE_OF_GRAPH, _FUNCTION: _NODE_OF_FUNCTION}.get(number)
        if nodes is None:
            continue
        for attribute in _inside(_inside([model], nodes), _ATTRIBUTE):
            if any(field in _INNER for field, _ in _fields(attribute)):
                return True
    return False


def _inside(messages: Iterator[Content] | list[Content], wanted: int) -> Iterator[Content]:
    for message in messages:
        yield from (found for number, found in _fields(message) if number == wanted)


def _fields(message: Content) -> Iterator[tuple[int, Content]]:
    """Yield a message's fields: number and bytes; of those that are numbers, None."""
    at, end = 0, 0 if message is None else len(message)
    while message is not None and at < end:
        key, at = _number(message, at)
        kind, size = key & 7, 0
        if kind == 0:
            _, at = _number(message, at)
        elif kind == 2:
            size, at = _number(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("a field of an unknown kind")
        if at + size > end:
            raise ValueError("a field that ends too late")
        yield key >> 3, message[at : at + size] if kind == 2 else None
        at += size


def _number(message: memoryview, at: int) -> tuple[int, int]:
    found = 0
    for place in range(_LONGEST):
        if at + place >= len(message):
            break
        byte = message[at + place]
        found |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return found, at + place + 1
    raise ValueError("a number that does not end")
