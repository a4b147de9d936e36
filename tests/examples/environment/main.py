import os

print(os.environ["REGION"], os.environ["mixed_Case"], repr(os.environ["EMPTY"]))
print(os.environ["code"])
print("HOME" in os.environ, os.path.isdir(os.environ["HOME"]))
