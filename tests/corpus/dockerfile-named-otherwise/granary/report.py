def main() -> None:
    print("no grain")
