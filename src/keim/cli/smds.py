"""`keim smds`: run an SM-DS."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "smds",
        help="run an SM-DS: events that wait for an eUICC",
        description="An SM-DS, root or alternative.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    serve = verbs.add_parser("serve", help="run the server until it is told to stop")
    serve.add_argument("--config", type=Path, metavar="FILE", help="TOML (or KEIM_SMDS_CONFIG)")
    serve.add_argument("--pki", metavar="DIR", help="PKI directory (keim pki init)")
    serve.add_argument("--store", metavar="FILE|URL", help="SQLite file or postgresql:// address")
    serve.add_argument("--listen", metavar="HOST:PORT", help="ES11 for devices and eIMs")
    serve.add_argument("--servers-listen", metavar="HOST:PORT", help="ES12 and ES15 (mutual TLS)")
    serve.add_argument("--status-listen", metavar="HOST:PORT", help="/healthz, /readyz, /metrics")
    serve.add_argument("--address", metavar="NAME", help="the name that devices use (default: certificate's)")
    serve.add_argument("--root", metavar="HOST[:PORT]", help="root SM-DS to forward events to")
    serve.add_argument("--json", action="store_true", help="say where it listens as one JSON document")
    serve.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.app.config import load
    from keim.app.smds import SmdsConfig, serve
    from keim.io.serve import event_loop

    path = args.config or os.environ.get("KEIM_SMDS_CONFIG")
    names = ("pki", "store", "listen", "servers_listen", "status_listen", "address", "root")
    config = load(
        SmdsConfig,
        None if path is None else Path(path),
        prefix="KEIM_SMDS",
        environment=os.environ,
        options={name: getattr(args, name) for name in names},
    )

    def ready(where: dict[str, Any]) -> None:
        if args.json:
            print_json({"type": "ready", **where})
        else:
            print(f"SM-DS {where['address']}, store {where['store']}")
            for name, address in where["listen"].items():
                print(f"  {name:<8} {address}")
        sys.stdout.flush()

    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(serve(config, on_ready=ready))
    note("keim smds: stopped")
    return ExitCode.OK
