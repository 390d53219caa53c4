from setuptools import find_packages, setup

setup(
    name="orchard",
    version="0.1",
    packages=find_packages(),
    include_package_data=True,
    install_requires=["pyramid", "waitress", "plaster-pastedeploy", "setuptools<81"],
    entry_points={"paste.app_factory": ["main = orchard:main"]},
)
