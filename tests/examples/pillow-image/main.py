from PIL import Image, ImageDraw

image = Image.new("RGB", (64, 64), "white")
ImageDraw.Draw(image).ellipse((8, 8, 56, 56), fill="red")
image.save("dot.png")
image.convert("L").resize((16, 16)).save("small.bmp")
print(image.size, image.getpixel((32, 32)))
