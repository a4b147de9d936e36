"""Compiles the runner's files ahead, so that no run pays for it."""

import os
import py_compile


def compile_all(folder):
    """Writes the byte code beside the files; a run without it is slower, not different."""
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            py_compile.compile(os.path.join(folder, name), doraise=True)
