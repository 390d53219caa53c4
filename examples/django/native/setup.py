from setuptools import Extension, setup

setup(name="shop-checksum", version="1.0", ext_modules=[Extension("shop_checksum", ["shop_checksum.c"])])
