"""`python -m keim.cli`, the same as the installed command."""

from __future__ import annotations

import sys

from keim.cli import main

sys.exit(main())
