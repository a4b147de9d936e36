import matplotlib.pyplot as plt

plt.bar(["a", "b", "c"], [3, 5, 2])
plt.title("Votes")
plt.show()
