import typer
app = typer.Typer()

@app.command()
def hello(name: str = "you"):
    print("hello", name)
