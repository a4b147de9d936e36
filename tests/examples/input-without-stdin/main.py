print("before")
answer = input("> ")
print("never reached", answer)
