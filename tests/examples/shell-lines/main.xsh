import os

echo "made by a command" > note.txt
wc -c note.txt | cut -d ' ' -f 1
for i in range(2):
    echo number @(i)
names = $(ls).split()
print(names, os.getcwd() == $(pwd).strip())
nosuchcommand --help
echo end
