"""Starts the harness from the folder that boot.py made."""

import sys
from pathlib import Path

# An engine's workers import this file again under another name: they must find the package and do nothing.
FOLDER = Path(__file__).resolve().parent
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))

if __name__ == "__main__":
    # Nobody reads again what would be kept of these: they lie in a folder of this start alone.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    from deterministic_ml.harness.main import main

    sys.dont_write_bytecode = before
    main(FOLDER)
