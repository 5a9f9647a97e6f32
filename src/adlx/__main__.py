"""`python -m adlx` is `adlx`."""

from adlx.cli.main import main

if __name__ == "__main__":
    main()
