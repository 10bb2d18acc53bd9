"""`python -m palate`: what launchers of several processes start."""

from palate.cli import main

if __name__ == "__main__":
    main()
