"""Runs one program in this fresh interpreter, so that the program sees plain CPython.

Started by the executor as `python3 -I -B -u -X utf8 runner.py JOB_FD RESULT_FD`. The job is JSON
on JOB_FD, the program's own results (a tool's output) leave on RESULT_FD. It is not a sandbox:
the walls are the executor's.

This file is compiled at every start, so it is only the frame in which the program runs. The
files beside it can be compiled ahead, once, with `runner.py --compile`.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def companion(name):
    """Loads a file beside this one without putting its folder on sys.path or a name in sys.modules."""
    loader_type = sys.modules["_frozen_importlib_external"].SourceFileLoader
    loader = loader_type("carrel_" + name, HERE + "/" + name + ".py")
    module = type(sys)(loader.name)
    module.__file__ = loader.path
    exec(loader.get_code(loader.name), module.__dict__)
    return module


if __name__ == "__main__":
    if sys.argv[1:] == ["--compile"]:
        companion("precompile").compile_all(HERE)
        raise SystemExit
    program = companion("program").start(int(sys.argv[1]), int(sys.argv[2]), companion)
    # The program runs from here, one frame deep, and its exception leaves through CPython's own
    # door: a bare `raise` adds no entry, so the traceback begins with the program's first frame.
    try:
        for run, code in program.steps:
            run(code, program.namespace)
    except BaseException as error:
        program.strip(error)
        raise
