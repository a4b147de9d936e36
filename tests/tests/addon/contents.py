"""What docs/IMAGES.md says that programs find, looked for by one of them. Prints what is wrong, and `looked`."""

import os
import shutil
import subprocess
import sys

MODULES = """
    numpy pandas openpyxl xlsxwriter tabulate jinja2 scipy matplotlib PIL sympy requests pydantic sklearn cv2 moviepy
    PyPDF2 pypdf pikepdf fitz pdf2image xonsh
""".split()
PROGRAMS = """
    bash ls sort python python3 uv ffmpeg ffprobe magick pandoc weasyprint pdftotext pdftoppm yt-dlp
""".split()


def output(*words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, encoding="utf-8")
    if done.returncode or done.stderr:
        print(words, "said", done.returncode, done.stderr[-500:])
    return done.stdout


# In processes of their own: all of them at once are more than the memory of a small sandbox.
for module in MODULES:
    output(sys.executable, "-c", f"import {module}")
for program in PROGRAMS:
    if shutil.which(program) is None:
        print("there is no program", program)
for font in ("DejaVu Sans", "Liberation Serif", "Noto Sans"):
    found = output("fc-match", "--format=%{family[0]}", font)
    if found != font:
        print("instead of", font, "there is", found)
# Here it would go if what the image brings were of no use.
if os.path.exists(os.path.expanduser("~/.cache/fontconfig")):
    print("the font cache was made again")
output("pandoc", "--metadata=pagetitle=page", "--pdf-engine-opt=--quiet", "--output=page.pdf", text="# Größe")
print(output("pdftotext", "page.pdf", "-").split())
MOVIE = """
from moviepy import ColorClip, VideoFileClip
ColorClip((64, 64), color=(255, 0, 0), duration=1).write_videofile("red.mp4", fps=5, logger=None)
print(VideoFileClip("red.mp4").duration)
"""
print(output(sys.executable, "-c", MOVIE).strip())
output("ffmpeg", "-i", "red.mp4", "red.gif")
if not os.path.exists("red.gif"):
    print("ffmpeg made no picture")
print("looked")
