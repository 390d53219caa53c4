from setuptools import find_packages, setup


def requirements(name):
    return open("requirements/" + name).read().splitlines()


setup(name="ferry", version="1.0", packages=find_packages(), install_requires=requirements("default.txt"))
