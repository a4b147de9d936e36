name = "Zoë"
print(f"Grüße, {name}! 你好 こんにちは שלום 👩‍🚀 é")
ключ = {"π": 3.14159, "naïve": True}
for k, v in ключ.items():
    print(k, "→", v)
with open("größe-日本.txt", "w") as f:
    f.write("ok ✓\n")
