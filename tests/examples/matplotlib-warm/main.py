import logging
import sys

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")

import matplotlib.pyplot as plt

plt.title("ready")
print("ready")
