print(m * n, name.upper(), items[1]["k"], flag is True, missing is None)
