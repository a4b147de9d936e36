import os

open(".hidden", "w").write("secret\n")
os.makedirs(".cache/deep")
open(".cache/deep/.keep", "w").close()
print(sorted(os.listdir()))
