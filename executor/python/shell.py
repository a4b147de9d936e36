"""Decides whether a source is Python or shell lines inside Python.

Whatever parses as Python is Python, except short shell lines that happen to parse, such as
`ls -l`, and that could only fail with a NameError. What does not parse goes to xonsh, unless it
is just wrong Python.
"""

import _ast
import builtins
import gc
import os

ONLY_AST = 0x0400  # ast.PyCF_ONLY_AST
WORDS = (_ast.Name, _ast.BinOp, _ast.UnaryOp, _ast.BoolOp, _ast.Compare)
PLAIN = (*WORDS, _ast.Constant, _ast.Load, _ast.operator, _ast.unaryop, _ast.boolop, _ast.cmpop)
WORD_ENDS = " \t|;&<>\r\n"


def children(node):
    """The nodes directly below; ast.iter_child_nodes without the cost of importing ast."""
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, _ast.AST):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, _ast.AST))


def walk(node):
    """The node and everything below it, in no useful order."""
    todo = [node]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(children(node))


def statements(node):
    """Every statement below the node; expressions are not entered, they hold no statements."""
    for child in children(node):
        if not isinstance(child, _ast.expr):
            yield child
            yield from statements(child)


def candidates(tree):
    """The expression statements that could be shell lines."""
    for node in statements(tree):
        if isinstance(node, _ast.Expr) and isinstance(node.value, WORDS):
            if all(isinstance(part, PLAIN) for part in walk(node.value)):
                yield node


def first_name(node):
    """The leftmost name, which Python would look up first."""
    names = [part for part in walk(node) if isinstance(part, _ast.Name)]
    names.sort(key=lambda name: (name.lineno, name.col_offset))
    return names[0].id if names else None


def bound_names(tree):
    """Every name that the source binds in any way; None when it cannot be known."""
    bound = set()
    for node in walk(tree):
        if isinstance(node, _ast.Name) and not isinstance(node.ctx, _ast.Load):
            bound.add(node.id)
        elif isinstance(node, _ast.alias):
            if node.name == "*":
                return None
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, _ast.arg):
            bound.add(node.arg)
        else:  # def, class, except .. as, match captures, global
            name = getattr(node, "name", None) or getattr(node, "rest", None)
            bound.update([name] if isinstance(name, str) else ())
            bound.update(getattr(node, "names", ()) if isinstance(node, _ast.Global) else ())
    return bound


def first_word(lines, node):
    """The text at the node's place up to where a shell would end the word."""
    line = lines[node.lineno - 1].encode()[node.col_offset :].decode()
    end = next((i for i, character in enumerate(line) if character in WORD_ENDS), len(line))
    return line[:end]


def find_program(word):
    """The executable file that a shell would start for this word, or None."""
    if not word or "/" in word:
        return None
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or ".", word)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def program_calls(source, tree, known):
    """The candidates' first names, where their first word is a program and the name no builtin.

    Both are asked once for each word: a long source repeats itself.
    """
    lines, seen = source.lines(), set()
    for node in candidates(tree):
        name = first_name(node.value)
        if name is None or name in known or hasattr(builtins, name):
            continue
        word = first_word(lines, node)
        if word not in seen:
            seen.add(word)
            if find_program(word):
                yield name


def is_shell(source, tree, known):
    """Whether a source that parses holds a line that only a shell can run."""
    names = set(program_calls(source, tree, known))
    if not names:
        return False
    bound = bound_names(tree)
    return bound is not None and not names <= bound


def compile_with_xonsh(program, companion):
    """The code object, or None when xonsh does not take the source or is not installed."""
    try:
        session = companion("xonsh_session")
    except ImportError:
        return None
    return session.compile_shell(program.source, program.namespace)


def parse(source):
    """The tree. The collector would walk all of it again and again while it grows, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return source.compile(source.text, flags=ONLY_AST)
    finally:
        if enabled:
            gc.enable()


def steps(program, companion):
    """The steps of a program that may be either."""
    source = program.source
    try:
        tree = parse(source)
    except SyntaxError as error:
        code = compile_with_xonsh(program, companion)
        if code is None:
            raise error
        return [(exec, code)]
    code = None
    if is_shell(source, tree, program.namespace):
        code = compile_with_xonsh(program, companion)
    return [(exec, source.compile(tree) if code is None else code)]
