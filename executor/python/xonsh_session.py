"""Compiles a source with xonsh, inside a session that behaves like a script run by xonsh.

Only the compiling is xonsh's: the code object runs like any other, so its tracebacks are plain.
"""

import ast
import builtins
import keyword
import os
import shutil

from xonsh.built_ins import XSH
from xonsh.execer import Execer

COMMAND = "subproc_captured_hiddenobject"  # what xonsh makes of a line that is a command
SETTINGS = {
    "XONSH_INTERACTIVE": False,
    "XONSH_HISTORY_BACKEND": "dummy",
    # A failing command does not stop the script.
    "XONSH_SUBPROC_RAISE_ERROR": False,
    "XONSH_SUBPROC_CMD_RAISE_ERROR": False,
}


def open_session(source, namespace):
    """Starts xonsh without rc files, history or xontribs; all of them could write or print."""
    execer = Execer(filename=source.path, scriptcache=False, cacheall=False)
    XSH.load(ctx=namespace, execer=execer, inherit_env=True)
    for name, value in SETTINGS.items():
        XSH.env[name] = value
    return execer


def commands(tree):
    """The words, as far as they are written out, of all that xonsh reads as a command."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == COMMAND:
            for part in node.args:
                while isinstance(part, ast.BinOp):  # a list, and what is only known at run time
                    part = part.left
                if isinstance(part, ast.List):
                    yield [plain_word(item) for item in part.elts]


def plain_word(node):
    """The text of a word that is written out, or an empty one."""
    texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return texts[0] if texts and isinstance(texts[0], str) else ""


def starts_program(words):
    """Whether the first word of a line is something to run.

    Python that is merely wrong must not pass: `import x y` and `print "x"` are no commands even
    where such programs are installed, and `time = 5 seconds` is a bad assignment.
    """
    if not words or keyword.iskeyword(words[0]) or words[0] == "print":
        return False
    if len(words) > 1 and words[1] == "=":
        return False
    return words[0] in XSH.aliases or shutil.which(os.path.expanduser(words[0])) is not None


def compile_shell(source, namespace):
    """The code object of a shell source, or None when it is neither shell nor Python."""
    execer = open_session(source, namespace)
    try:
        known = set(namespace)
        tree = execer.parse(source.text, known | set(dir(builtins)), user_names=known)
    except Exception:  # a parser that stumbles in any way has not read the source
        return None
    if tree is None:
        return None
    lines = list(commands(tree))
    if lines and not any(starts_program(words) for words in lines):
        return None
    point_at_lines(tree, source.lines())
    return source.compile(tree)


def point_at_lines(tree, lines):
    """Lets every node cover its whole line, for which a traceback shows no marks.

    xonsh's own columns are those of the text that it rewrote.
    """
    for node in ast.walk(tree):
        number = getattr(node, "lineno", None)
        if number is not None and 0 < number <= len(lines):
            line = lines[number - 1].rstrip().encode()
            node.end_lineno = number
            node.col_offset = len(line) - len(line.lstrip())
            node.end_col_offset = len(line)
