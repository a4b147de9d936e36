"""Makes what would open a window save a file, for programs that run without a screen.

Each function changes a library right after the program has loaded it. The first plot of a run is
`plot.png`, later ones `plot-2.png`, `plot-3.png` and so on; images are `image.png`, `image-2.png`.
A file of that name from before the run is written over.
"""


class FileNames:
    """Names for the files of one kind, in the order in which they are shown."""

    def __init__(self, stem):
        self.stem = stem
        self.count = 0

    def next(self):
        self.count += 1
        return f"{self.stem}.png" if self.count == 1 else f"{self.stem}-{self.count}.png"


def patch_pyplot(pyplot):
    """`plt.show()` saves each open figure, then closes it as its window would be closed."""
    names = FileNames("plot")

    def show(*args, **kwargs):
        for number in pyplot.get_fignums():
            pyplot.figure(number).savefig(names.next())
            pyplot.close(number)

    pyplot.show = show


def patch_image(image):
    """`Image.show()` saves the image; a mode that PNG does not know is converted."""
    names = FileNames("image")

    def show(self, title=None):
        drawable = self if self.mode in PNG_MODES else self.convert("RGB")
        drawable.save(names.next())

    image.Image.show = show


PNG_MODES = {"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"}


def patch_proglog(proglog):
    """moviepy asks for a progress bar by default; it would fill stderr."""
    make_logger = proglog.default_bar_logger

    def quiet(logger, *args, **kwargs):
        return make_logger(None if logger == "bar" else logger, *args, **kwargs)

    proglog.default_bar_logger = quiet
