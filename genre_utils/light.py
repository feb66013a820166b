"""The former ``python -m genre_utils.light FOLDER FILE…``; now ``predict FILE… --model FOLDER --json -``."""

import sys

from genre_utils.__main__ import main

if __name__ == "__main__":
    folder, *files = sys.argv[1:] or ["--help"]
    print(
        "python -m genre_utils.light is now: python -m genre_utils predict FILE --model FOLDER --json -",
        file=sys.stderr,
    )
    sys.exit(main(["predict", *files, "--model", folder, "--json", "-"]))
