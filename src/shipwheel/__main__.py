"""`python -m shipwheel`."""

from shipwheel.cli import main

main()
