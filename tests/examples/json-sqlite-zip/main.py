import json
import sqlite3
import zipfile

db = sqlite3.connect("shop.db")
db.execute("create table item (name text, price real)")
db.executemany("insert into item values (?, ?)", [("tea", 2.5), ("cup", 4.0)])
db.commit()
rows = db.execute("select name, price from item order by price desc").fetchall()
db.close()
with open("items.json", "w") as f:
    json.dump([{"name": n, "price": p} for n, p in rows], f, indent=1)
with zipfile.ZipFile("items.zip", "w") as z:
    z.write("items.json")
with zipfile.ZipFile("items.zip") as z:
    print(z.namelist(), json.loads(z.read("items.json"))[0])
