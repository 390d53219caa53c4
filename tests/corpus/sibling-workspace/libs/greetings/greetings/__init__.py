from bottle import template


def greet(name: str) -> str:
    return template("Hello, {{name}}!", name=name)
