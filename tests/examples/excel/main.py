import openpyxl

book = openpyxl.Workbook()
sheet = book.active
sheet.title = "Costs"
for row in (("item", "cost"), ("rent", 800), ("food", 250)):
    sheet.append(row)
sheet["B4"] = "=SUM(B2:B3)"
book.save("costs.xlsx")

again = openpyxl.load_workbook("costs.xlsx")["Costs"]
print([cell.value for cell in again["A"]], again["B4"].value)
