from setuptools import setup

setup(name="oldtimer", version="3", packages=["oldtimer"], install_requires=["flask", "werkzeug"])
