"""What the verbs of `keim ipa` share: the configuration from file, environment and options."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from keim.app.config import load
from keim.app.ipa import IpaConfig


def config_of(args: argparse.Namespace) -> IpaConfig:
    path = args.config or os.environ.get("KEIM_IPA_CONFIG")
    options = {name: getattr(args, name, None) for name in ("card", "state", "control")}
    return load(
        IpaConfig,
        None if path is None else Path(path),
        prefix="KEIM_IPA",
        environment=os.environ,
        options=options,
    )
