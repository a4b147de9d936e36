"""Calls the last top-level function of a program with JSON arguments that pydantic has checked.

The output leaves on its own descriptor: what the tool or its children print cannot damage it.
"""

import _ast
import functools
import inspect
import json
import os
import sys

import pydantic

ONLY_AST = 0x0400  # ast.PyCF_ONLY_AST


class ToolCall:
    """One tool, its input, and where its output goes."""

    def __init__(self, name, tool_input, result_fd):
        self.name = name
        self.tool_input = tool_input
        self.result_fd = result_fd
        self.pid = os.getpid()

    def run(self, code, namespace):
        """Runs the module, then the call, and sends what it returns."""
        without_exit(exec, code, namespace)
        function = namespace[self.name]
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            # Calling it would give a coroutine, which is no result.
            fail_with(TypeError(f"{self.name}() is async; a tool must be a plain function"))
        try:
            args, kwargs = bind(function, self.tool_input)
        except Exception as error:
            fail_with(error)
        result = without_exit(function, *args, **kwargs)
        try:
            text = json.dumps(result)
        except (TypeError, ValueError, RecursionError) as error:
            fail_with(error)
        if os.getpid() == self.pid:  # a forked child that returns here has no say
            self.send(text)

    def send(self, text):
        """One line; the reader knows the end by the descriptor's end."""
        part = {"name": "tool_output", "mediaType": "application/json", "data": text}
        with open(self.result_fd, "w", encoding="utf-8") as pipe:
            pipe.write(json.dumps(part) + "\n")


def bind(function, tool_input):
    """Checks and converts the input; returns positional and keyword arguments.

    A null that a parameter does not accept is left out when the parameter has a default: a
    common client sends null for every optional argument it was not given.
    """

    @functools.wraps(function)
    def collect(*args, **kwargs):
        return args, kwargs

    adapter = pydantic.TypeAdapter(collect)
    try:
        return adapter.validate_json(json.dumps(tool_input))
    except pydantic.ValidationError as error:
        reduced = without_refused_nulls(function, tool_input, error)
        if reduced is None:
            raise
    return adapter.validate_json(json.dumps(reduced))


def without_refused_nulls(function, tool_input, error):
    """The input as keywords without the nulls that pydantic refused, or None if there is no such."""
    parameters = inspect.signature(function).parameters
    if isinstance(tool_input, list):
        by_position = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        if len(tool_input) > len(by_position):
            return None
        named = {p.name: value for p, value in zip(by_position, tool_input)}
        names = list(named)
        refused = {names[e["loc"][0]] for e in error.errors() if usable_index(e["loc"], names)}
    else:
        named = tool_input
        refused = {e["loc"][0] for e in error.errors() if e["loc"]}
    left_out = {
        name
        for name in refused
        if name in parameters
        and named.get(name, ...) is None
        and parameters[name].default is not inspect.Parameter.empty
    }
    if not left_out:
        return None
    return {name: value for name, value in named.items() if name not in left_out}


def usable_index(loc, names):
    """Whether a place in an error is that of a given positional argument."""
    return bool(loc) and isinstance(loc[0], int) and loc[0] < len(names)


def without_exit(function, *args, **kwargs):
    """Calls the tool's own code; leaving early is an error even with code 0."""
    try:
        return function(*args, **kwargs)
    except SystemExit as error:
        fail(f"The tool exited without a result: sys.exit({error.code!r})")


def fail(message):
    """Ends the run with a text instead of a traceback."""
    print(message, file=sys.stderr)
    raise SystemExit(1)


def fail_with(error):
    """Ends the run with an error that did not happen in the tool's own lines."""
    sys.excepthook(type(error), error.with_traceback(None), None)
    raise SystemExit(1)


def silence_stdout():
    """Drops what is written to descriptor 1, by children too."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def steps(program, tool_input, result_fd):
    """The tool is chosen by the text: the function that the last top-level `def` names."""
    tree = program.source.compile(program.source.text, flags=ONLY_AST)
    functions = (_ast.FunctionDef, _ast.AsyncFunctionDef)
    names = [node.name for node in tree.body if isinstance(node, functions)]
    if not names:
        fail("The tool source code has no top-level function")
    silence_stdout()
    call = ToolCall(names[-1], tool_input, result_fd)
    return [(call.run, program.source.compile(tree))]
