for number in range(20000):
    print(f"line {number:05d} of the report")
