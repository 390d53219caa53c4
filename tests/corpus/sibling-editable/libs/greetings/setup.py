from setuptools import find_packages, setup

setup(name="greetings", version="1.0", packages=find_packages(), install_requires=["bottle"])
