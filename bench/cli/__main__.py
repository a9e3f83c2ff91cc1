"""`python -m bench.cli`."""

from bench.cli.entry import main

main()
