"""A small arithmetic language for settings: ``22 + min(value, 4) * 0.5``.

It is read with Python's own parser and then held against a list of what is allowed: numbers, the
names given, ``+ - * /``, comparisons, ``a if b else c``, ``and``, ``or``, ``not``, and
:data:`FUNCTIONS`. Nothing of it is ever executed as Python.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeAlias

from oadr2.errors import ConfigurationError, LocalProtocolError

LONGEST: Final = 500  # characters
_DEEPEST: Final = 50

FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
}
_LEAST_ARGUMENTS: Final = {"min": 2, "max": 2}
_MOST_ARGUMENTS: Final = {"min": 20, "max": 20}

_BINARY: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_Part: TypeAlias = Callable[[Mapping[str, float]], float]


class Expression:
    """An expression over ``names``, checked when it is made.

    Raises:
        ConfigurationError: it cannot be read, or uses what is not allowed; the message says where.
    """

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise ConfigurationError(f"the expression has more than {LONGEST} characters")
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            why = getattr(error, "msg", None) or "it is nested too deeply"
            raise ConfigurationError(f"the expression {text!r} cannot be read: {why}") from None
        self._names = frozenset(names)
        self._part = self._compile(tree.body, 0)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Expression):
            return NotImplemented
        return (self.text, self._names) == (other.text, other._names)

    def __hash__(self) -> int:
        return hash((self.text, self._names))

    def __call__(self, values: Mapping[str, float]) -> float:
        """The value where the names have these values.

        Raises:
            LocalProtocolError: there is none: a division by zero, or beyond what a number can hold.
        """
        try:
            result = float(self._part(values))
        except (ZeroDivisionError, OverflowError, ValueError) as error:
            raise LocalProtocolError(f"{self.text} has no value here: {error}") from None
        if not math.isfinite(result):
            raise LocalProtocolError(f"{self.text} has no finite value here")
        return result

    def _refuse(self, node: ast.AST, what: str) -> ConfigurationError:
        column = getattr(node, "col_offset", 0) + 1
        return ConfigurationError(f"the expression {self.text!r}, character {column}: {what}")

    def _compile(self, node: ast.expr, depth: int) -> _Part:  # noqa: PLR0911, PLR0912 - one for each kind
        if depth > _DEEPEST:
            raise self._refuse(node, "it is nested too deeply")
        depth += 1
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return _constant(self._number(node, value))
            case ast.Name(id=name):
                if name not in self._names:
                    known = ", ".join(sorted(self._names))
                    raise self._refuse(node, f"unknown name {name}: there are {known}")
                return lambda values: values[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                first, second = self._compile(left, depth), self._compile(right, depth)
                function = _BINARY[type(op)]
                return lambda values: function(first(values), second(values))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._compile(operand, depth)
                return lambda values: -inner(values)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._compile(operand, depth)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._compile(operand, depth)
                return lambda values: not inner(values)
            case ast.BoolOp(op=op, values=operands):
                parts = [self._compile(operand, depth) for operand in operands]
                every = all if isinstance(op, ast.And) else any
                return lambda values: every(part(values) for part in parts)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._comparison(node, left, ops, comparators, depth)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition = self._compile(test, depth)
                then, otherwise = self._compile(body, depth), self._compile(orelse, depth)
                return lambda values: then(values) if condition(values) else otherwise(values)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(node, name, arguments, depth)
            case _:
                raise self._refuse(node, "only arithmetic is allowed here")

    def _number(self, node: ast.expr, value: int | float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._refuse(node, "the number is too large")
        return number

    def _comparison(
        self,
        node: ast.expr,
        left: ast.expr,
        ops: list[ast.cmpop],
        comparators: list[ast.expr],
        depth: int,
    ) -> _Part:
        if any(type(op) not in _COMPARE for op in ops):
            raise self._refuse(node, "only numbers can be compared here")
        parts = [self._compile(operand, depth) for operand in (left, *comparators)]
        functions = [_COMPARE[type(op)] for op in ops]

        def compare(values: Mapping[str, float]) -> float:
            numbers = [part(values) for part in parts]
            return all(function(numbers[i], numbers[i + 1]) for i, function in enumerate(functions))

        return compare

    def _call(self, node: ast.expr, name: str, arguments: list[ast.expr], depth: int) -> _Part:
        function = FUNCTIONS.get(name)
        if function is None:
            known = ", ".join(FUNCTIONS)
            raise self._refuse(node, f"unknown function {name}: there are {known}")
        least, most = _LEAST_ARGUMENTS.get(name, 1), _MOST_ARGUMENTS.get(name, 1)
        if not least <= len(arguments) <= most:
            count = f"{least}" if least == most else f"{least} to {most}"
            raise self._refuse(node, f"{name} takes {count} numbers, not {len(arguments)}")
        parts = [self._compile(argument, depth) for argument in arguments]
        return lambda values: function(*(part(values) for part in parts))


def _constant(value: float) -> _Part:
    return lambda _values: value
