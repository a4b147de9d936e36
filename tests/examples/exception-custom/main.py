class OutOfStock(ValueError):
    def __init__(self, item, left):
        super().__init__(f"only {left} of {item} left")


print("ordering")
raise OutOfStock("tea", 2)
