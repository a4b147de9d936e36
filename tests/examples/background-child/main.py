import subprocess

subprocess.Popen(["sleep", "600"])
print("done")
