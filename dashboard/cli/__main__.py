"""`python -m dashboard.cli`: the same as the script `insight`."""

from dashboard.cli import main

main()
