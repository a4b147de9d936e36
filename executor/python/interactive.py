"""Shows the last expression as the interactive prompt would, and allows top-level `await`."""

import _ast

ONLY_AST = 0x0400  # ast.PyCF_ONLY_AST
TOP_LEVEL_AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
FUTURE_FLAGS = 0x1FE0000  # every compiler flag of __future__
CO_COROUTINE = 0x0080  # inspect.CO_COROUTINE


def compile_parts(source):
    """The module without its last expression, and that expression as the prompt compiles it.

    Two code objects share one namespace, so nothing of ours needs a name in it.
    """
    tree = source.compile(source.text, flags=ONLY_AST | TOP_LEVEL_AWAIT)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
    module = source.compile(tree, flags=TOP_LEVEL_AWAIT)
    if last is None:
        return [module]
    flags = TOP_LEVEL_AWAIT | module.co_flags & FUTURE_FLAGS
    return [module, source.compile(_ast.Interactive(body=[last]), "single", flags)]


async def run_part(code, namespace):
    """A part that does not await runs inside the loop too: it may make tasks for one that does."""
    result = eval(code, namespace)
    if code.co_flags & CO_COROUTINE:
        await result


def run_with_loop(codes, namespace):
    """Runs all parts on one event loop, so that tasks of the first live on in the second."""
    import asyncio

    with asyncio.Runner() as runner:
        for code in codes:
            runner.run(run_part(code, namespace))


def steps(program):
    """asyncio is loaded only for a program that awaits, and then before any file of its folder."""
    codes = compile_parts(program.source)
    if not any(code.co_flags & CO_COROUTINE for code in codes):
        return [(exec, code) for code in codes]
    import asyncio  # noqa: F401

    return [(run_with_loop, codes)]
