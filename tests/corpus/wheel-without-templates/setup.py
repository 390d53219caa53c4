from setuptools import setup

setup(
    name="menu",
    version="1.1",
    packages=["menu"],
    install_requires=["flask", "gunicorn"],
)
