import os

open("real.txt", "w").write("real\n")
os.symlink("real.txt", "link.txt")
os.symlink("/etc/passwd", "passwd")
os.symlink("/etc", "folder")
os.mkfifo("pipe")
print(sorted(os.listdir()))
