"""`python -m palate.cli`, for where no script is installed."""

from palate.cli import main

main()
