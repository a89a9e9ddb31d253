"""Starts pytest as its own command does, with takelage's plugins on the search path."""

import sys

import pytest

if __name__ == "__main__":
    sys.argv[0] = "pytest"
    sys.exit(pytest.main())
