import numpy as np
from sklearn.linear_model import LinearRegression

x = np.arange(10).reshape(-1, 1)
y = 3 * x.ravel() + 7
model = LinearRegression().fit(x, y)
print(f"slope {model.coef_[0]:.3f} intercept {model.intercept_:.3f} r2 {model.score(x, y):.3f}")
