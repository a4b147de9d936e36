import io

import pandas as pd

csv = """region,product,units,price
north,apple,10,0.5
south,apple,4,0.6
north,pear,3,1.25
south,pear,8,1.1
north,apple,6,0.55
"""

df = pd.read_csv(io.StringIO(csv))
df["total"] = df["units"] * df["price"]
summary = df.groupby(["region", "product"])["total"].agg(["sum", "count"]).round(2)
print(summary)
print("best region:", df.groupby("region")["total"].sum().idxmax())
summary.to_csv("summary.csv")
