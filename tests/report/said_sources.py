"""What the sources say to the page: every sentence that some calls are given, read by `ast`.

A gap of a sentence, or whatever else a source does not say itself, is `GAP`.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

GAP = "\x00"
_FIELD = re.compile(r"\{[^{}]*\}")

Speaker = Mapping[str, tuple[int, str]]
"""What a call says: the place and the name of the argument that holds it."""

Handing = tuple[str, Speaker, Mapping[str, ast.expr]]
"""What a function hands on: to what, which arguments, and what it says itself beside."""


@dataclass(frozen=True, eq=False)
class Module:
    """One file of the sources."""

    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def functions(self) -> list[ast.FunctionDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]

    def lines_of(self, speakers: Mapping[str, Speaker]) -> set[int]:
        """Lines at which something is said."""
        return {call.lineno for call, _ in _calls(self.tree, speakers)}

    def enclosing(self, call: ast.Call) -> ast.FunctionDef | None:
        """The innermost function that a call stands in."""
        around = [f for f in self.functions if any(node is call for node in ast.walk(f))]
        return min(around, key=lambda f: len(list(ast.walk(f))), default=None)


@dataclass(frozen=True)
class Said:
    """One call, what it reaches, and the texts that it may be given for each thing it says."""

    place: str
    speaker: str
    texts: Mapping[str, frozenset[str]]


@dataclass(frozen=True, eq=False)
class Sources:
    """Files that say something, and functions that return what they say.

    Parameters
    ----------
    modules : sequence of Module
    speakers : mapping of class or function to Speaker
        Calls that reach the page. Functions that hand their own arguments on to one are found.
    """

    modules: tuple[Module, ...]
    speakers: Mapping[str, Speaker]
    _busy: list[ast.AST] = field(default_factory=list)

    def said(self, module: Module) -> list[Said]:
        """All that a file says."""
        handing = dict(self._forwarding(module))
        known = {**self.speakers, **{name: handed for name, (_, handed, _) in handing.items()}}
        found = []
        for call, speaker in _calls(module.tree, known):
            around = module.enclosing(call)
            own = {a.arg for a in _parameters(around)} if around else set()
            texts = {
                name: frozenset(self.texts(argument, module, around))
                for name, argument in _arguments(call, speaker)
                if not (isinstance(argument, ast.Name) and argument.id in own)
            }
            reached, _, own_texts = handing.get(_name(call), (_name(call), {}, {}))
            beside = {what: frozenset(self.texts(a, module, None)) for what, a in own_texts.items()}
            if texts:
                place = f"{module.path.name}:{call.lineno}"
                found.append(Said(place, reached, beside | texts))
        return found

    def _forwarding(self, module: Module) -> Iterator[tuple[str, Handing]]:
        """Functions that hand texts on."""
        for function in module.functions:
            names = [a.arg for a in _parameters(function)]
            for call, speaker in _calls(function, self.speakers):
                handed, own = {}, {}
                for what, argument in _arguments(call, speaker):
                    if isinstance(argument, ast.Name) and argument.id in names:
                        handed[what] = (names.index(argument.id), argument.id)
                    elif isinstance(argument, ast.Constant):
                        own[what] = argument
                if handed.keys() - {"name", "where"}:
                    yield function.name, (_name(call), handed, own)

    def texts(self, node: ast.expr, module: Module, around: ast.FunctionDef | None) -> set[str]:
        """All texts that an expression may stand for."""
        if any(node is one for one in self._busy):
            return set()
        self._busy.append(node)
        try:
            return self._texts(node, module, around)
        finally:
            self._busy.pop()

    def _texts(self, node: ast.expr, module: Module, around: ast.FunctionDef | None) -> set[str]:
        def of(*nodes: ast.expr) -> set[str]:
            return set().union(*(self.texts(one, module, around) for one in nodes))

        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.JoinedStr(values=parts):
                return {"".join(one) for one in itertools.product(*map(of, parts))}
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return {a + b for a, b in itertools.product(of(left), of(right))}
            case ast.FormattedValue(value=value, format_spec=None):
                return of(value)
            case ast.IfExp(body=body, orelse=orelse):
                return of(body, orelse)
            case ast.BoolOp(values=values):
                return of(*values)
            case ast.Subscript(value=ast.Dict(values=values)):
                return of(*values)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.expr() as at) if not isinstance(
                at, ast.Slice
            ):
                tables = [t for t in _assigned(name, module, around) if isinstance(t, ast.Dict)]
                return of(*(one for table in tables for one in table.values)) or {GAP}
            case ast.Subscript(value=value, slice=ast.Slice()):
                return of(value)
            case ast.Name(id=name):
                return of(*_assigned(name, module, around)) or {GAP}
            case ast.Call(func=ast.Attribute(attr="format", value=value)):
                return {_FIELD.sub(GAP, text) for text in of(value)}
            case ast.Call(args=[*_, ast.Lambda(body=body)]):
                return of(body)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                return self._returned(name, module) or {GAP}
        return {GAP}

    def _returned(self, name: str, module: Module) -> set[str]:
        """Texts that a function of that name returns, in this file or else in any."""
        places = [(m, f) for m in self.modules for f in m.functions if f.name == name]
        own = [(m, f) for m, f in places if m is module] or places
        found = set[str]().union(
            *(
                self.texts(node.value, m, f)
                for m, f in own
                if isinstance(f.returns, ast.Name) and f.returns.id == "str"
                for node in ast.walk(f)
                if isinstance(node, ast.Return) and node.value is not None
            )
        )
        return found - {""}  # with which a function says that there is nothing to say


def _calls(tree: ast.AST, speakers: Mapping[str, Speaker]) -> Iterator[tuple[ast.Call, Speaker]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) in speakers:
            yield node, speakers[_name(node)]


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _arguments(call: ast.Call, speaker: Speaker) -> Iterator[tuple[str, ast.expr]]:
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    for what, (place, name) in speaker.items():
        if name in named:
            yield what, named[name]
        elif place < len(call.args):
            yield what, call.args[place]


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args]


def _assigned(name: str, module: Module, around: ast.FunctionDef | None) -> list[ast.expr]:
    """What a name is bound to, by assignments and loops: in the function, else in the file."""
    inside = ast.walk(around) if around else ()
    for nodes in (inside, module.tree.body):
        found = [value for node in nodes for value in _bound(name, node, module)]
        if found:
            return found
    return []


def _bound(name: str, node: ast.AST, module: Module) -> Iterator[ast.expr]:
    """What one statement binds a name to: all that a loop over literals does."""
    match node:
        case ast.Assign(targets=[ast.Name(id=bound)], value=value) if bound == name:
            yield value
        case ast.For(target=ast.Name(id=bound), iter=ast.Tuple(elts=values)) if bound == name:
            yield from values
        case ast.For(target=ast.Tuple(elts=[ast.Name(id=bound), *_]), iter=over) if bound == name:
            yield from _firsts(over, module)


def _firsts(over: ast.expr, module: Module) -> Iterator[ast.expr]:
    """First elements of a literal of tuples, or keys of a table of the file."""
    match over:
        case ast.Tuple(elts=pairs):
            yield from (pair.elts[0] for pair in pairs if isinstance(pair, ast.Tuple))
        case ast.Call(func=ast.Attribute(attr="items", value=ast.Name(id=table))):
            for node in module.tree.body:
                match node:
                    case ast.Assign(targets=[ast.Name(id=bound)], value=ast.Dict(keys=keys)):
                        yield from (key for key in keys if key is not None and bound == table)


def filled(text: str, fillings: Iterable[str]) -> Iterator[str]:
    """A text with its gaps filled in all ways; at most four gaps differ."""
    first, *rest = text.split(GAP)
    choices = tuple(fillings)
    for values in itertools.product(
        *([choices] * min(len(rest), 4) + [choices[:1]] * (len(rest) - 4))
    ):
        yield first + "".join(value + part for value, part in zip(values, rest, strict=True))
