from setuptools import setup, find_packages
from pathlib import Path

here = Path(__file__).parent
long_description = (here / "README.md").read_text()
requirements = (here / "requirements.txt").read_text().splitlines()

setup(
    name="wordcount-tool",
    version="0.2.1",
    long_description=long_description,
    packages=find_packages(exclude=["tests"]),
    include_package_data=True,
    package_data={"wordcount": ["data/*.txt"]},
    install_requires=requirements,
    entry_points={"console_scripts": ["wordcount=wordcount.cli:main"]},
    python_requires=">=3.8",
)
