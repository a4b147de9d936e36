import subprocess
import sys

done = subprocess.run(["sh", "-c", "echo from sh; exit 7"], capture_output=True, text=True)
print(done.stdout.strip(), done.returncode)
subprocess.run([sys.executable, "-c", "print('from python')"], check=True)
subprocess.run("echo to a file > note.txt; wc -c < note.txt", shell=True, check=True)
