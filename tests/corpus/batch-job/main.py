from tabulate import tabulate

if __name__ == "__main__":
    print(tabulate([["north", 12], ["south", 7]], headers=["shop", "sold"]))
