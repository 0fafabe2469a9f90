"""``python -m stowage``."""

import sys

from .cli import main

sys.exit(main())
