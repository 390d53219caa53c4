#!/usr/bin/env -S uv run --script
# /// script
# requires-python = ">=3.12"
# dependencies = [
#   "rich",
# ]
# ///
import sys
from rich.pretty import pprint
pprint(sys.argv)
