"""What the program sees: its source, its `__main__`, its traceback lines, its import hooks.

Part of the plain path, so it imports nothing that the interpreter has not loaded already.
"""

import io
import os
import sys

FILE_LOADER = sys.modules["_frozen_importlib_external"].SourceFileLoader


class JsonSettings:
    """What `json.JSONDecoder` would hand to the C scanner; importing json costs more than a run."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def parse_json(text):
    """Parses JSON without importing json when the C scanner is there."""
    try:
        from _json import make_scanner

        return make_scanner(JsonSettings)(text.strip(), 0)[0]
    except (ImportError, AttributeError):
        import json

        return json.loads(text)


def read_job(job_fd):
    """Reads the whole job and closes its descriptor, so that the program cannot read it again."""
    with io.FileIO(job_fd) as file:
        return parse_json(file.readall().decode("utf-8"))


class Source:
    """The program's text, and the ways in which CPython asks for its lines.

    There is no file behind the program's name: a file in the workspace would show up in the
    program's own listing. So whatever looks for the file gets the text from here.
    """

    def __init__(self, text, path):
        self.text = text.removeprefix("\ufeff")
        self.path = path

    def lines(self):
        """The lines as `readlines` of a file gives them; str.splitlines splits at form feeds too."""
        return io.StringIO(self.text, newline=None).readlines()

    def fill_linecache(self, linecache):
        """No modification time: such an entry is never checked against the disk."""
        lines = self.lines()
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        linecache.cache[self.path] = (len(self.text), None, lines, self.path)

    def with_file(self, function, *args, **keywords):
        """Calls `function` while C code, which shows source lines, finds the text."""
        original = io.open
        self.appear_as_file()
        try:
            return function(*args, **keywords)
        finally:
            io.open = original

    def appear_as_file(self):
        """Lets io.open, with which C code looks for source lines, find the text."""
        original = io.open

        def opener(name, *rest, **options):
            if name != self.path or rest != ("rb",):
                return original(name, *rest, **options)
            descriptor = os.memfd_create("source", os.MFD_CLOEXEC)
            file = original(descriptor, "w+b")
            file.write(self.without_cookie().encode())
            file.seek(0)
            return file

        io.open = opener

    def without_cookie(self):
        """The text is sent as UTF-8 whatever a cookie says; its line is a comment, never shown."""
        lines = self.text.split("\n", 2)
        for index, line in enumerate(lines[:2]):
            if line.lstrip().startswith("#"):
                lines[index] = line.replace("coding", "CODING")
        return "\n".join(lines)

    def hooked(self, hook):
        """`hook`, CPython's own way to report an exception, with source lines."""

        def report(*args):
            self.with_file(hook, *args)

        return report

    def compile(self, what, mode="exec", flags=0):
        """Compiles text or a tree; an error carries its source line as if there were a file."""
        try:
            if "\0" in self.text:
                raise self.null_byte_error()
            return self.with_file(compile, what, self.path, mode, flags, dont_inherit=True)
        except SyntaxError as error:
            if error.text is None and error.filename == self.path and error.lineno:
                error.text = "".join(self.lines()[error.lineno - 1 : error.lineno]) or None
            raise

    def null_byte_error(self):
        """compile() words this differently for text than CPython does for a file."""
        before = self.text.partition("\0")[0].splitlines() or [""]
        where = (self.path, len(before), None, before[-1])
        return SyntaxError("source code cannot contain null bytes", where)


class OnImport:
    """A finder that finds nothing itself, but calls a function when a module has been loaded."""

    def __init__(self, actions):
        self.actions = actions

    def find_spec(self, name, path=None, target=None):
        """Lets the others find the module; asking without loading it must change nothing."""
        if name not in self.actions:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                self.call_after(name, spec.loader)
                return spec
        return None

    def call_after(self, name, loader):
        """The loader belongs to this one module, so its own attribute can stand before the class's."""
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            action = self.actions.pop(name, None)
            if action is not None:
                action(module)

        loader.exec_module = exec_module


def show_source_lines(source):
    """Lets what is printed while the program runs show its lines; `strip` sees to its end."""
    if sys.version_info < (3, 13):  # from 3.13 on threads go through linecache
        import _thread

        _thread._excepthook = source.hooked(_thread._excepthook)
        if "threading" in sys.modules:
            threading = sys.modules["threading"]
            threading.excepthook = threading.__excepthook__ = _thread._excepthook
    sys.unraisablehook = sys.__unraisablehook__ = source.hooked(sys.unraisablehook)


def watch_imports(source, media):
    """Registers what has to happen when the program, or a library of it, loads certain modules.

    `media` loads the companion that makes what would open a window into files, or is None.
    """
    actions = {"linecache": source.fill_linecache}
    if "linecache" in sys.modules:
        actions.pop("linecache")(sys.modules["linecache"])
    if media is not None:
        actions["matplotlib.pyplot"] = lambda module: media().patch_pyplot(module)
        actions["PIL.Image"] = lambda module: media().patch_image(module)
        actions["proglog"] = lambda module: media().patch_proglog(module)
    sys.meta_path.insert(0, OnImport(actions))


def make_main(path, variables):
    """A `__main__` like CPython's own: pickling and multiprocessing look classes up in it."""
    main = type(sys)("__main__")
    main.__loader__ = FILE_LOADER("__main__", path)
    main.__annotations__ = {}
    main.__builtins__ = sys.modules["builtins"]
    main.__file__ = path
    main.__cached__ = None
    main.__dict__.update(variables or {})
    sys.modules["__main__"] = main
    return main.__dict__


class Program:
    """A job made ready: `steps` are pairs of a function and the code object to call it with."""

    def __init__(self, job, result_fd, companion):
        self.source = Source(job["code"], job["entryPath"])
        show_source_lines(self.source)
        media = (lambda: companion("media")) if job.get("saveFigures") else None
        watch_imports(self.source, media)
        sys.argv[:] = [self.source.path, *(job.get("args") or ())]
        self.namespace = make_main(self.source.path, job.get("variables"))
        try:
            self.steps = self.compile(job, result_fd, companion)
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
            # As CPython reports it before any line has run: without a traceback.
            self.source.appear_as_file()
            sys.excepthook(type(error), error.with_traceback(None), None)
            raise SystemExit(1) from None
        sys.path.insert(0, job.get("workspace") or os.getcwd())

    def compile(self, job, result_fd, companion):
        """The steps of the job; only a tool keeps the result descriptor."""
        if job.get("toolInput") is not None:
            return companion("tool").steps(self, job["toolInput"], result_fd)
        os.close(result_fd)
        if job["interpreter"] == "PythonOrShell":
            return companion("shell").steps(self, companion)
        if job.get("interactive"):
            return companion("interactive").steps(self)
        return [(exec, self.source.compile(self.source.text))]

    def strip(self, error):
        """Takes the frames before the program's first one off the traceback that comes next."""
        self.source.appear_as_file()
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != self.source.path:
            trace = trace.tb_next
        if trace is not None:
            error.__traceback__ = trace


def start(job_fd, result_fd, companion):
    """Reads the job and makes it ready to run."""
    os.set_inheritable(result_fd, False)
    return Program(read_job(job_fd), result_fd, companion)
