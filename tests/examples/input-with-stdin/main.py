name = input("What is your name? ")
age = int(input("How old are you? "))
print()
print(f"{name} is {age + 1} next year")
