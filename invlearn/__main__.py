"""``python -m invlearn``."""

import sys

from invlearn.cli import main

sys.exit(main())
