from sympy import Eq, diff, integrate, solve, symbols

x = symbols("x")
print(solve(Eq(x**2 - 5 * x + 6, 0), x))
print(diff(x**3 * 2, x), integrate(x**2, (x, 0, 3)))
