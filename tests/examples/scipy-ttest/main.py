import numpy as np
from scipy import stats

rng = np.random.default_rng(42)
control = rng.normal(10, 2, 50)
treated = rng.normal(11.5, 2, 50)
result = stats.ttest_ind(control, treated)
print(f"t = {result.statistic:.4f}, p = {result.pvalue:.6f}")
print("significant" if result.pvalue < 0.05 else "not significant")
