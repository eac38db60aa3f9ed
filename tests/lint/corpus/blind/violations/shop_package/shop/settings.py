"""Read once, when the process starts."""

import os

MAX_AMOUNT = int(os.environ.get("MAX_AMOUNT", "500"))  # via(max)
