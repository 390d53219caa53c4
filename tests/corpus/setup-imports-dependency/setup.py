from setuptools import find_packages, setup

import bottle

setup(
    name="jokes",
    version="0.9",
    description=f"Jokes, served by bottle {bottle.__version__}",
    packages=find_packages(),
    install_requires=["bottle"],
    entry_points={"console_scripts": ["jokes = jokes.server:main"]},
)
