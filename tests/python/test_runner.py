"""Tests of the runner, run as the executor runs it: a fresh interpreter with two descriptors.

    CARREL_PYTHON=/path/to/python3 python3 -m unittest tests/python/test_runner.py

CARREL_PYTHON must be an interpreter with the packages of executor/python/requirements.lock; the
default is the one that runs the tests. Tests that need a missing package are skipped, and say so.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from collections import namedtuple
from pathlib import Path

PYTHON = os.environ.get("CARREL_PYTHON", sys.executable)
RUNNER = Path(__file__).resolve().parents[2] / "executor" / "python" / "runner.py"
FLAGS = ["-I", "-B", "-u", "-X", "utf8"]
MAIN = "/workspace/main.py"
ONYX_MAIN = "/workspace/__main__.py"
DEADLINE = 60

Ended = namedtuple("Ended", "code out err results")


def has_package(name):
    command = [PYTHON, "-I", "-c", f"import {name}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def without_addresses(ended):
    return ended._replace(err=re.sub("0x[0-9a-f]+", "0x..", ended.err))


def needs(name):
    return unittest.skipUnless(has_package(name), f"{PYTHON} has no {name}")


class RunnerTest(unittest.TestCase):
    """Gives each test a fresh folder as its workspace."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.workspace = Path(folder.name)

    def run_job(self, code, stdin="", env=None, **fields):
        job = {
            "interpreter": "Python",
            "code": code,
            "interactive": False,
            "entryPath": MAIN,
            "args": [],
            "variables": None,
            "toolInput": None,
            "saveFigures": False,
            "workspace": str(self.workspace),
            **fields,
        }
        with tempfile.TemporaryFile() as job_file, tempfile.TemporaryFile() as result_file:
            job_file.write(json.dumps(job).encode())
            job_file.seek(0)
            fds = (job_file.fileno(), result_file.fileno())
            ended = subprocess.run(
                [PYTHON, *FLAGS, str(RUNNER), *map(str, fds)],
                pass_fds=fds,
                input=stdin.encode(),
                capture_output=True,
                cwd=self.workspace,
                env={**os.environ, "MPLBACKEND": "Agg", **(env or {})},
                timeout=DEADLINE,
                check=False,
            )
            result_file.seek(0)
            results = [json.loads(line) for line in result_file]
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode(), results)

    def run_as_file(self, code):
        """What CPython itself does with the same text in a file."""
        path = self.workspace / "main.py"
        path.write_text(code, encoding="utf-8", newline="")
        flags = [flag for flag in FLAGS if flag != "-I"]
        ended = subprocess.run(
            [PYTHON, *flags, "main.py"],
            capture_output=True,
            cwd=self.workspace,
            stdin=subprocess.DEVNULL,
            timeout=DEADLINE,
            check=False,
        )
        path.unlink()
        shown = ended.stderr.decode().replace(str(path), MAIN).replace('"main.py"', f'"{MAIN}"')
        shown = shown.replace("\nmain.py:", f"\n{MAIN}:")
        if shown.startswith("main.py:"):
            shown = MAIN + shown.removeprefix("main.py")
        return Ended(ended.returncode, ended.stdout.decode(), shown, [])

    def assert_like_cpython(self, code):
        expected = self.run_as_file(code)
        ended = self.run_job(code)
        self.assertEqual(without_addresses(ended), without_addresses(expected))
        return expected


class PlainPython(RunnerTest):
    def test_module_is_the_main_module(self):
        code = (
            "import sys, pickle, dataclasses\n"
            "@dataclasses.dataclass\nclass A:\n    x: int\n"
            "print(__name__, __file__, sys.argv, sys.modules['__main__'].A is A)\n"
            "print(pickle.loads(pickle.dumps(A(3))))\n"
        )
        ended = self.run_job(code)
        self.assertEqual(ended.err, "")
        self.assertEqual(ended.out, f"__main__ {MAIN} ['{MAIN}'] True\nA(x=3)\n")

    def test_args_follow_the_path(self):
        ended = self.run_job("import sys; print(sys.argv)", args=["a", "-b", "c d"])
        self.assertEqual(ended.out, f"['{MAIN}', 'a', '-b', 'c d']\n")

    def test_names_in_an_empty_main_are_cpythons(self):
        self.assert_like_cpython("print(sorted(globals()), __annotations__, __spec__, __package__)")

    def test_job_and_its_descriptors_are_gone(self):
        code = (
            "import os, sys\n"
            "print([fd for fd in range(3, 64) if os.path.exists(f'/proc/self/fd/{fd}')])\n"
            "print(any('carrel' in name for name in sys.modules), 'json' in sys.modules)\n"
        )
        self.assertEqual(self.run_job(code).out, "[]\nFalse False\n")

    def test_variables_are_bound_before_the_code(self):
        variables = {"m": 7, "n": 4.5, "s": "1+1", "l": [None, True], "o": {"a": "é"}}
        ended = self.run_job("print(m * 2, n, s, l, o)", variables=variables)
        self.assertEqual(ended.out, "14 4.5 1+1 [None, True] {'a': 'é'}\n")

    def test_workspace_file_can_be_imported(self):
        (self.workspace / "helper.py").write_text("value = 5\n")
        self.assertEqual(self.run_job("import helper; print(helper.value)").out, "5\n")

    def test_workspace_file_does_not_shadow_what_the_runner_needs(self):
        names = "io os json traceback linecache tokenize asyncio ast pydantic inspect program tool"
        for name in names.split():
            (self.workspace / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
        ended = self.run_job("def f():\n    return 1/0\nprint(5)\nf()")
        self.assertEqual((ended.code, ended.out), (1, "5\n"))
        self.assertIn("ZeroDivisionError", ended.err)
        interactive = self.run_job("async def f(): return 1\nawait f()", interactive=True)
        self.assertEqual(interactive, Ended(0, "1\n", "", []))

    def test_future_imports_hold(self):
        code = "from __future__ import annotations\nx: Foo = 1\nprint(__annotations__)"
        self.assertEqual(self.run_job(code).out, "{'x': 'Foo'}\n")

    def test_encoding_cookie_is_harmless(self):
        code = "# -*- coding: latin-1 -*-\ndef f():\n    raise ValueError('é')\nprint('é')\nf()"
        ended = self.run_job(code)
        self.assertEqual(ended.out, "é\n")
        self.assertIn("    raise ValueError('é')\n", ended.err)

    def test_only_a_cookie_is_hidden(self):
        code = "# encoding: utf-8\nx = 0\ndef f(): return {'encoding: x': 1 / x}\nf()"
        self.assert_like_cpython(code)

    def test_byte_order_mark_is_skipped(self):
        self.assertEqual(self.run_job("\ufeffprint(1)").out, "1\n")

    def test_stdin_is_read_to_its_end(self):
        self.assertEqual(self.run_job("print(input() + input())", stdin="a\nb\n").out, "ab\n")
        self.assert_like_cpython("name = input('who? ')")

    def test_getsource_works(self):
        code = "import inspect\nclass A:\n    x = 1\ndef f():\n    return 2\n"
        ended = self.run_job(code + "print(inspect.getsource(A) + inspect.getsource(f), end='')")
        self.assertEqual(ended.out, "class A:\n    x = 1\ndef f():\n    return 2\n")

    def test_multiprocessing_forks(self):
        code = (
            "import multiprocessing\n"
            "def square(x): return x * x\n"
            "if __name__ == '__main__':\n"
            "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
            "        print(pool.map(square, range(4)))\n"
        )
        self.assertEqual(self.run_job(code), Ended(0, "[0, 1, 4, 9]\n", "", []))

    def test_threads_are_awaited_and_atexit_runs_last(self):
        code = (
            "import atexit, threading, time\n"
            "atexit.register(print, 'atexit')\n"
            "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\n"
            "print('main')\n"
        )
        self.assertEqual(self.run_job(code).out, "main\nthread\natexit\n")


class Endings(RunnerTest):
    def test_exit_codes(self):
        for code in ("0", "3", "300", "", "None", "'bye'", "(1, 2)", "-1", "True"):
            with self.subTest(code=code):
                self.assert_like_cpython(f"import sys\nprint('x')\nsys.exit({code})")

    def test_raise_system_exit_in_a_function(self):
        self.assert_like_cpython("def f():\n    raise SystemExit(7)\nf()")

    def test_keyboard_interrupt_ends_by_its_signal(self):
        self.assert_like_cpython("def f():\n    raise KeyboardInterrupt\nf()")

    def test_closed_stdout(self):
        self.assert_like_cpython("import os\nos.close(1)\nprint('x')")
        self.assert_like_cpython("import sys\nsys.stdout.close()")

    def test_error_in_atexit(self):
        self.assert_like_cpython("import atexit\natexit.register(lambda: 1 / 0)")


class Tracebacks(RunnerTest):
    """Each is compared with what CPython prints for the same text in a file."""

    def test_syntax_errors(self):
        for code in (
            "def foo(",
            "x = (1,\n  2",
            "if True\n    pass",
            "print 'a'",
            "x = 'abc",
            "def f():\nreturn 1",
            "a b c",
            "\tx = 1\n        y = 2",
            "return 5",
            "await x",
            "break",
            "x = 1\nglobal x",
            "def f(a, a): pass",
            "nonlocal x",
            "f(a=1, a=2)",
            "x = 1\0",
            "from __future__ import nope",
        ):
            with self.subTest(code=code):
                self.assert_like_cpython(code)

    def test_exceptions(self):
        for code in (
            "def f(x):\n    return 1 / x\n\nf(\n    0,\n)",
            "class E(Exception):\n    pass\nraise E('a\\nb')",
            "try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('v') from e",
            "try:\n    {}['k']\nexcept KeyError:\n    int('x')",
            "try:\n    1/0\nexcept Exception:\n    raise RuntimeError from None",
            "raise ExceptionGroup('g', [ValueError(1), ExceptionGroup('h', [TypeError()])])",
            "e = ValueError('x'); e.add_note('note')\nraise e",
            "assert 1 == 2, 'no'",
            "import sys\nnumber = 1\nprint(numbr)",
            "'abc'.upperr()",
            "import nosuchmodule",
            "exec('1/0')",
            "import json\njson.loads('{')",
            "x = 'ü' * 3; [1,2][5]",
            "def g():\n    yield 1\n    raise ValueError\nlist(g())",
            "eval('1 +')",
            "# \x0c form feed\nprint('\x0c')\n1/0",
            "x = '''\n\x85\u2028'''\n1/0",
            "print(1)\r\n1/0\r\n",
        ):
            with self.subTest(code=code):
                self.assert_like_cpython(code)

    def test_recursion_error(self):
        ended = self.run_job("def f(x):\n    return f(x)\nf(1)")
        repeated = r"  \[Previous line repeated 99\d more times\]\nRecursionError: maximum recursion"
        self.assertRegex(ended.err, repeated)
        self.assertNotIn(str(RUNNER.parent), ended.err)

    def test_exception_in_a_thread(self):
        self.assert_like_cpython(
            "import threading\ndef f():\n    raise ValueError(1)\n"
            "t = threading.Thread(target=f)\nt.start()\nt.join()"
        )

    def test_exception_in_a_destructor(self):
        ended = self.run_job("class A:\n    def __del__(self):\n        1/0\nA()")
        self.assertIn(f'  File "{MAIN}", line 3, in __del__\n    1/0\n', ended.err)
        self.assertEqual(ended.code, 0)

    def test_users_hook_is_used_and_sees_only_its_own_frames(self):
        self.assert_like_cpython(
            "import sys, traceback\n"
            "def hook(kind, value, trace):\n"
            "    print(kind, value, len(traceback.extract_tb(trace)))\n"
            "sys.excepthook = hook\n1/0"
        )

    def test_failing_users_hook(self):
        self.assert_like_cpython("import sys\nsys.excepthook = lambda *a: {}[1]\nint('x')")

    def test_traceback_module_and_logging(self):
        self.assert_like_cpython(
            "import logging, traceback\ntry:\n    1/0\nexcept Exception:\n"
            "    traceback.print_exc()\n    logging.exception('failed')"
        )

    def test_warnings_show_their_line(self):
        for code in (
            "import warnings\nwarnings.warn('old')",
            "x = 1\nprint(x is 1)",
            "print('\\d')",
        ):
            with self.subTest(code=code):
                self.assert_like_cpython(code)


class Interactive(RunnerTest):
    def show(self, code):
        return self.run_job(code, interactive=True, entryPath=ONYX_MAIN)

    def test_last_expression_is_shown(self):
        for code, out in (
            ("print('hi')\n2 + 2", "hi\n4\n"),
            ("1 + 1\n2 + 2", "4\n"),
            ("'abc'", "'abc'\n"),
            ("x=5; x", "5\n"),
            ("None", ""),
            ("x = 1", ""),
            ("", ""),
            ("# only a comment\n", ""),
            ("x = 10\nprint(f'x is {x}')\nx + 5", "x is 10\n15\n"),
            ("import sys\nsys.stdout.write('a')", "a1\n"),
            ("tree = 5\nprint(tree)\ntree", "5\n5\n"),
            ("ast = None\n1", "1\n"),
            ("code = run = source = program = 2\nexec = eval = None\ncode", "2\n"),
            ("from __future__ import annotations\nx: Foo = 1\nx", "1\n"),
            ("if __name__ == '__main__':\n    print('main')", "main\n"),
            ("'doc'\n__doc__", "'doc'\n"),
        ):
            with self.subTest(code=code):
                self.assertEqual(self.show(code), Ended(0, out, "", []))

    def test_earlier_expressions_are_not_shown_and_errors_have_their_line(self):
        ended = self.show("x = 5\nx\n1/0\ny = 10")
        self.assertEqual((ended.code, ended.out), (1, ""))
        first = f'Traceback (most recent call last):\n  File "{ONYX_MAIN}", line 3, in <module>\n'
        self.assertTrue(ended.err.startswith(first + "    1/0\n"), ended.err)
        self.assertTrue(ended.err.endswith("\nZeroDivisionError: division by zero\n"), ended.err)

    def test_syntax_error(self):
        ended = self.show("def foo(")
        self.assertEqual(ended.code, 1)
        self.assertEqual(
            ended.err,
            f'  File "{ONYX_MAIN}", line 1\n    def foo(\n           ^\n'
            "SyntaxError: '(' was never closed\n",
        )

    def test_getsource(self):
        code = "import inspect\ndef f():\n    return 1\ninspect.getsource(f)"
        self.assertEqual(self.show(code).out, "'def f():\\n    return 1\\n'\n")

    def test_error_in_the_last_expression(self):
        ended = self.show("def f():\n    return 1/0\nf()")
        places = [line for line in ended.err.splitlines() if line.startswith("  File")]
        self.assertEqual(
            places,
            [f'  File "{ONYX_MAIN}", line 3, in <module>', f'  File "{ONYX_MAIN}", line 2, in f'],
        )

    def test_top_level_await(self):
        code = (
            "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 4\n"
            "x = await f()\ntask = asyncio.create_task(f())\nx + await task"
        )
        self.assertEqual(self.show(code), Ended(0, "8\n", "", []))

    def test_task_made_before_the_only_await(self):
        code = "import asyncio\nt = asyncio.create_task(asyncio.sleep(0, 7))\nawait t"
        self.assertEqual(self.show(code), Ended(0, "7\n", "", []))

    def test_await_traceback_has_only_the_programs_frames(self):
        ended = self.show("async def f():\n    1/0\nawait f()")
        places = [line for line in ended.err.splitlines() if line.startswith("  File")]
        self.assertEqual(
            places,
            [f'  File "{ONYX_MAIN}", line 3, in <module>', f'  File "{ONYX_MAIN}", line 2, in f'],
        )

    def test_await_is_an_error_when_not_interactive(self):
        ended = self.run_job("import asyncio\nawait asyncio.sleep(0)", entryPath=ONYX_MAIN)
        self.assertEqual(ended.code, 1)
        self.assertIn("SyntaxError: 'await' outside function\n", ended.err)


@needs("pydantic")
class Tools(RunnerTest):
    def call(self, code, tool_input, **fields):
        return self.run_job(code, toolInput=tool_input, **fields)

    def assert_output(self, code, tool_input, text, **fields):
        part = {"name": "tool_output", "mediaType": "application/json", "data": text}
        self.assertEqual(self.call(code, tool_input, **fields), Ended(0, "", "", [part]))

    def assert_fails(self, code, tool_input, *texts):
        ended = self.call(code, tool_input)
        self.assertEqual((ended.code, ended.out, ended.results), (1, "", []))
        for text in texts:
            self.assertIn(text, ended.err)
        self.assertNotIn(str(RUNNER.parent), ended.err)
        return ended

    def test_adding_tool(self):
        code = "def adding_tool(a: int, b: int) -> int:\n    return a + b"
        for tool_input in ({"a": 1, "b": 2}, [1, 2], {"a": "1", "b": "2"}):
            with self.subTest(tool_input=tool_input):
                self.assert_output(code, tool_input, "3")
        self.assert_fails(code, {"a": "x", "b": 2}, "adding_tool", "valid integer")
        self.assert_fails(code, {"a": 1}, "b\n  Missing required argument")
        self.assert_fails(code, {"a": 1, "b": 2, "c": 3}, "c\n  Unexpected keyword argument")
        self.assert_fails(code, [1, 2, 3], "Unexpected positional argument")

    def test_date_tool(self):
        code = (
            "import datetime\ndef date_tool(a: datetime.datetime) -> str:\n"
            "    return f'The year is {a.year}'"
        )
        self.assert_output(code, {"a": "2000-01-01T00:00:00"}, '"The year is 2000"')

    def test_division_tool(self):
        code = "def division_tool(a: int, b: int) -> float:\n    return a / b"
        ended = self.assert_fails(code, {"a": 0, "b": 0}, "ZeroDivisionError: division by zero\n")
        start = f'Traceback (most recent call last):\n  File "{MAIN}", line 2, in division_tool\n'
        self.assertTrue(ended.err.startswith(start), ended.err)

    def test_greet_tool_reads_its_environment(self):
        code = 'import os\ndef greet() -> str:\n    return "Hello " + os.environ["MY_NAME"]'
        self.assert_output(code, {}, '"Hello John Doe"', env={"MY_NAME": "John Doe"})

    def test_refused_null_means_left_out(self):
        code = "def f(a: int = 5, b: str | None = 'x', c: int = 6):\n    return [a, b, c]"
        self.assert_output(code, {"a": None, "b": None}, "[5, null, 6]")
        self.assert_output(code, [None, None, 1], "[5, null, 1]")
        self.assert_output("def f(a=3):\n    return a", {"a": None}, "null")
        self.assert_fails("def f(a: int):\n    return a", {"a": None}, "valid integer")

    def test_last_function_is_called(self):
        code = "def g(x):\n    return 'g'\ndef f(x):\n    return g(x) + x"
        self.assert_output(code, {"x": "f"}, '"gf"')

    def test_result_is_json_dumps_with_default_settings(self):
        for value, text in (("float('nan')", "NaN"), ("{'a': 1}", '{"a": 1}'), ("'é'", '"\\u00e9"')):
            with self.subTest(value=value):
                self.assert_output(f"def f() -> int:\n    return {value}", {}, text)
        self.assert_fails("def f():\n    return {1}", {}, "TypeError: Object of type set is not")

    def test_string_annotations(self):
        code = "from __future__ import annotations\ndef f(x: list[int]):\n    return x"
        self.assert_output(code, {"x": ["1"]}, "[1]")

    def test_nothing_written_to_stdout_damages_the_output(self):
        code = (
            "import os\nprint('a')\nos.system('echo b')\n"
            "def f():\n    print('c')\n    os.write(1, b'd')\n    os.system('echo e')\n    return 1"
        )
        self.assert_output(code, {}, "1")

    def test_leaving_early_is_an_error(self):
        for exit_code in ("0", "", "3", "'why'"):
            with self.subTest(exit_code=exit_code):
                code = f"import sys\ndef f():\n    sys.exit({exit_code})"
                self.assert_fails(code, {}, "The tool exited without a result")
        self.assert_fails("import sys\nsys.exit(0)\ndef f():\n    pass", {}, "without a result")

    def test_what_is_no_tool(self):
        self.assert_fails("async def f():\n    return 1", {}, "TypeError: f() is async")
        self.assert_fails("x = 1", {}, "no top-level function")
        self.assert_fails("def f(:\n    pass", {}, "SyntaxError: invalid syntax")
        self.assert_fails("1/0\ndef f():\n    pass", {}, 'line 1, in <module>\n    1/0')

    def test_forked_child_does_not_answer(self):
        code = "import os\ndef f():\n    child = os.fork()\n    if child:\n        os.wait()\n    return child > 0"
        self.assert_output(code, {}, "true")


class Figures(RunnerTest):
    def names(self):
        return sorted(path.name for path in self.workspace.iterdir())

    @needs("matplotlib")
    def test_each_show_saves_what_is_open(self):
        code = (
            "import matplotlib.pyplot as plt\n"
            "plt.plot([1, 2])\nplt.show()\nplt.plot([2, 1])\nplt.show(block=False)\nplt.show()"
        )
        ended = self.run_job(code, saveFigures=True)
        self.assertEqual((ended.code, ended.out), (0, ""))
        self.assertEqual(self.names(), ["plot-2.png", "plot.png"])

    @needs("PIL")
    def test_image_show_saves(self):
        code = (
            "from PIL import Image\nImage.new('RGB', (2, 2)).show()\n"
            "Image.new('CMYK', (2, 2)).show('title')"
        )
        self.assertEqual(self.run_job(code, saveFigures=True), Ended(0, "", "", []))
        self.assertEqual(self.names(), ["image-2.png", "image.png"])

    @needs("matplotlib")
    def test_without_the_switch_nothing_is_saved(self):
        self.run_job("import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()")
        self.assertEqual(self.names(), [])

    @needs("PIL")
    def test_asking_for_a_library_first_changes_nothing(self):
        code = (
            "import importlib.util\nimportlib.util.find_spec('PIL.Image')\n"
            "from PIL import Image\nImage.new('L', (2, 2)).show()"
        )
        self.run_job(code, saveFigures=True)
        self.assertEqual(self.names(), ["image.png"])

    def test_libraries_are_not_loaded_for_it(self):
        code = "import sys\nprint([n for n in sys.modules if n.startswith(('matplotlib', 'PIL'))])"
        self.assertEqual(self.run_job(code, saveFigures=True).out, "[]\n")

    def test_missing_library_gives_cpythons_error(self):
        (self.workspace / "PIL").mkdir()
        (self.workspace / "PIL" / "__init__.py").write_text("")
        ended = self.run_job("import PIL.Image", saveFigures=True)
        self.assertEqual(ended.err.splitlines()[-1], "ModuleNotFoundError: No module named 'PIL.Image'")
        self.assertNotIn(str(RUNNER.parent), ended.err)


class PythonOrShell(RunnerTest):
    def run_either(self, code, **fields):
        return self.run_job(code, interpreter="PythonOrShell", **fields)

    def test_python_stays_python(self):
        for code in (
            "print(1)\n5",
            "await x",
            "return 5",
            "ls\nls = 4",
            "nosuchprogram -l",
            "from os import *\nls",
            "1/0",
            "print - 1",
            "id - u",
            "import sys\nsys.exit(3)",
        ):
            with self.subTest(code=code):
                self.assertEqual(self.run_either(code), self.assert_like_cpython(code))
        for code in ("ls = 1\nls", "def ls():\n    pass\nls", "import os as ls\nls", "id"):
            with self.subTest(code=code):
                self.assertEqual(self.run_either(code), Ended(0, "", "", []))
        self.assertEqual(self.run_either("ls", variables={"ls": 1}), Ended(0, "", "", []))

    @needs("xonsh")
    def test_shell_lines_that_parse_as_python(self):
        (self.workspace / "a.txt").write_text("")
        for code, out in (
            ("ls", "a.txt\n"),
            ("ls -a | wc -l", "3\n"),
            ("if True:\n    ls", "a.txt\n"),
            ("echo; ls", "\na.txt\n"),
            ("for i in range(2):\n    echo @(i)", "0\n1\n"),
        ):
            with self.subTest(code=code):
                self.assertEqual(self.run_either(code), Ended(0, out, "", []))

    @needs("xonsh")
    def test_shell_inside_python(self):
        for code, out in (
            ("ls -la /dev/null > o.txt && echo x", "x\n"),
            ("x = $(echo hi)\nprint(x.strip())", "hi\n"),
            ("print($WHO)", "John Doe\n"),
            ("print('$WHO')\necho $WHO", "$WHO\nJohn Doe\n"),
            ("print(\"$HELLO $WORLD\")\necho héllo", "$HELLO $WORLD\nhéllo\n"),
            ("for i in range(2):\n    echo n @(i)\nprint('end')", "n 0\nn 1\nend\n"),
            ("echo b a | tr ' ' '-'", "b-a\n"),
            ("r = !(false)\nprint(r.returncode)", "1\n"),
            ("cd /\npwd", "/\n"),
            ("echo one > f.txt\ncat f.txt\nrm f.txt", "one\n"),
            ("def f():\n    echo from f\nf()", "from f\n"),
        ):
            with self.subTest(code=code):
                ended = self.run_either(code, env={"WHO": "John Doe"})
                self.assertEqual(ended, Ended(0, out, "", []))

    @needs("xonsh")
    def test_failing_command_does_not_stop_the_script(self):
        ended = self.run_either("false\nls /nosuchfolder\nnosuchprogram -x\necho end")
        self.assertEqual((ended.code, ended.out), (0, "end\n"))
        self.assertIn("/nosuchfolder", ended.err)
        self.assertIn("command not found", ended.err)
        self.assertIn("nosuchprogram", ended.err)

    @needs("xonsh")
    def test_exit_code_of_a_shell_source(self):
        ended = self.run_either("import sys\necho a\nsys.exit(3)")
        self.assertEqual(ended, Ended(3, "a\n", "", []))

    @needs("xonsh")
    def test_uncaught_exception_in_a_shell_source(self):
        ended = self.run_either("def f():\n    raise ValueError('x')\necho hi\nf()")
        self.assertEqual((ended.code, ended.out), (1, "hi\n"))
        places = [line for line in ended.err.splitlines() if line.startswith("  File")]
        self.assertEqual(
            places, [f'  File "{MAIN}", line 4, in <module>', f'  File "{MAIN}", line 2, in f']
        )
        self.assertTrue(ended.err.startswith("Traceback (most recent call last):\n"), ended.err)
        self.assertTrue(ended.err.endswith("\nValueError: x\n"), ended.err)

    def test_neither_gives_cpythons_syntax_error(self):
        for code in (
            'print "hello"',
            "def foo(",
            "x = 5 +",
            "for i in range(3)\n    print(i)",
            "import numpy as np as x",
            "time = 5 seconds",
            "The quick brown fox",
            "nosuchprogram --flag value",
            "x = 1\0",
            "if True:\nprint(1)",
        ):
            with self.subTest(code=code):
                self.assertEqual(self.run_either(code), self.assert_like_cpython(code))

    @needs("xonsh")
    def test_xonsh_leaves_no_file_in_the_workspace(self):
        self.run_either("echo a", env={"HOME": str(self.workspace)})
        self.assertEqual(list(self.workspace.iterdir()), [])


class Precompiled(RunnerTest):
    def test_compiled_files_are_found_and_used(self):
        copy = self.workspace / "runner"
        copy.mkdir()
        for path in RUNNER.parent.glob("*.py"):
            (copy / path.name).write_bytes(path.read_bytes())
        subprocess.run([PYTHON, *FLAGS, str(copy / "runner.py"), "--compile"], check=True)
        compiled = {path.name.partition(".")[0] for path in (copy / "__pycache__").iterdir()}
        self.assertEqual(compiled, {path.stem for path in copy.glob("*.py")})


if __name__ == "__main__":
    unittest.main()
