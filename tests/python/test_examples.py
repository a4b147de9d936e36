"""Runs every program of tests/examples through the runner and compares what the case expects.

    CARREL_PYTHON=/path/to/python3 python3 -m unittest tests/python/test_examples.py

It keeps the cases true: their values are what the runner and CPython really do. There is no
executor here, so this knows nothing of limits but the deadline. CARREL_PYTHON must have the
packages of executor/python/requirements.lock.
"""

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PYTHON = os.environ.get("CARREL_PYTHON", sys.executable)
TESTS = Path(__file__).resolve().parents[1]
RUNNER = TESTS.parent / "executor" / "python" / "runner.py"
EXAMPLES = TESTS / "examples"
DEFAULT_TIMEOUT_MILLISECONDS = 60_000


def source_of(folder, case):
    """The program's text, from its file or from the rule that makes it."""
    rule = case.get("generate")
    if rule is None:
        return (folder / case.get("program", "main.py")).read_text(encoding="utf-8")
    lines = (rule["line"].replace("{i}", str(i)) for i in range(rule["count"]))
    return rule["before"] + "".join(lines) + rule["after"]


def job_of(spec, code, workspace):
    """The job as the executor writes it for the runner."""
    tool = spec.get("tool")
    variables = spec.get("variablesJSON")
    return {
        "interpreter": spec.get("interpreter", "Python"),
        "code": code,
        "interactive": spec.get("interactive", False),
        "entryPath": "/workspace/" + spec.get("entryPath", "main.py"),
        "args": spec.get("args", []),
        "variables": json.loads(variables) if variables else None,
        "toolInput": json.loads(tool["inputJSON"]) if tool else None,
        "saveFigures": spec.get("saveFigures", False),
        "workspace": workspace,
    }


def environment(spec, home):
    """The variables that the executor sets, then the user's."""
    base = {
        "PATH": os.pathsep.join([str(Path(PYTHON).parent), os.environ["PATH"]]),
        "HOME": home,
        "TMPDIR": home,
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(Path(PYTHON).parents[1] / "mplconfig"),
    }
    return base | {item["name"]: item["value"] for item in spec.get("env", ())}


def changed_files(workspace):
    """Every regular file below the workspace with its content's hash."""
    found = {}
    for path in Path(workspace).rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode):
            name = path.relative_to(workspace).as_posix()
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def run_case(spec, code, workspace, scratch):
    """Starts the program in a group of its own; returns its code (None: deadline) and its texts."""
    paths = {name: Path(scratch, name) for name in ("job", "results", "out", "err", "in", "home")}
    paths["home"].mkdir()
    paths["job"].write_text(json.dumps(job_of(spec, code, workspace)), encoding="utf-8")
    paths["in"].write_text(spec.get("stdin", ""), encoding="utf-8")
    with (
        paths["job"].open("rb") as job,
        paths["results"].open("w+b") as results,
        paths["out"].open("w+b") as out,
        paths["err"].open("w+b") as err,
        paths["in"].open("rb") as stdin,
    ):
        fds = (job.fileno(), results.fileno())
        command = [PYTHON, "-I", "-B", "-u", "-X", "utf8", str(RUNNER), *map(str, fds)]
        if spec.get("interpreter") == "Bash":
            command, fds = ["bash", "-c", code, "bash", *spec.get("args", ())], ()
        process = subprocess.Popen(
            command, pass_fds=fds, stdin=stdin, stdout=out, stderr=err, cwd=workspace,
            env=environment(spec, str(paths["home"])), start_new_session=True,
        )  # fmt: skip
        try:
            timeout = spec.get("timeoutMilliseconds", DEFAULT_TIMEOUT_MILLISECONDS) / 1000
            exit_code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            exit_code = None
        finally:
            kill_session(process.pid)
            process.wait()
        lines = paths["results"].read_text(encoding="utf-8").splitlines()
        return exit_code, paths["out"].read_bytes(), paths["err"].read_bytes(), lines


def kill_session(leader):
    """Kills what the program left in its group, and children that opened one of their own."""
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(leader)], capture_output=True, text=True, check=False
    )
    for pid in children.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def reason_of(exit_code):
    if exit_code is None:
        return "TimedOut"
    if exit_code < 0:
        return "Signalled"
    return "NonZeroExit" if exit_code else "Completed"


class Examples(unittest.TestCase):
    maxDiff = 2000

    def check_stream(self, expect, name, text):
        if name in expect:
            self.assertEqual(text.decode(), expect[name])
        if name + "Contains" in expect:
            self.assertIn(expect[name + "Contains"], text.decode())
        if name + "Regex" in expect:
            self.assertRegex(text.decode(), re.compile(expect[name + "Regex"]))
        if name + "Sha256" in expect:
            self.assertEqual(len(text), expect[name + "SizeBytes"])
            self.assertEqual(hashlib.sha256(text).hexdigest(), expect[name + "Sha256"])
        if name + "Cut" in expect:
            self.assertEqual(len(text), expect[name + "Cut"]["sizeBytes"])
            self.assertTrue(text.decode().startswith(expect[name + "Cut"]["startsWith"]))

    def check(self, expect, exit_code, out, err, results, files):
        self.assertEqual(reason_of(exit_code), expect["reason"], err.decode())
        if "exitCode" in expect:
            self.assertEqual(exit_code, expect["exitCode"])
        if "signal" in expect:
            self.assertEqual(exit_code, -expect["signal"])
        self.check_stream(expect, "stdout", out)
        self.check_stream(expect, "stderr", err)
        self.assertEqual([json.loads(line) for line in results], expect.get("results", []))
        self.assertEqual(sorted(files), expect["files"])
        for name, sha256 in expect.get("filesSha256", {}).items():
            self.assertEqual(files[name], sha256)

    def test_every_case(self):
        cases = sorted(EXAMPLES.glob("*/case.json"))
        self.assertGreaterEqual(len(cases), 28)
        for path in cases:
            case = json.loads(path.read_text(encoding="utf-8"))
            with (
                self.subTest(case=path.parent.name),
                tempfile.TemporaryDirectory() as workspace,
                tempfile.TemporaryDirectory() as scratch,
            ):
                code = source_of(path.parent, case)
                ended = run_case(case.get("spec", {}), code, workspace, scratch)
                self.check(case["expect"], *ended, changed_files(workspace))


if __name__ == "__main__":
    unittest.main()
