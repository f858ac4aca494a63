"""`keim smdp serve`, and the options that its neighbours share."""

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


def register(verbs: Nouns) -> None:
    parser = verbs.add_parser("serve", help="run the server until it is told to stop")
    add_configuration(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", help="ES9+ for devices")
    parser.add_argument("--operators-listen", metavar="HOST:PORT", help="ES2+ for operators (mutual TLS)")
    parser.add_argument("--status-listen", metavar="HOST:PORT", help="/healthz, /readyz, /metrics")
    parser.add_argument("--address", metavar="NAME", help="the name that devices use")
    parser.add_argument("--no-tls", action="store_true", help="plain HTTP, for a proxy that ends TLS")
    parser.add_argument("--json", action="store_true", help="say where it listens as one JSON document")
    parser.set_defaults(run=run)


def add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML (or KEIM_SMDP_CONFIG)")
    parser.add_argument("--pki", metavar="DIR", help="PKI directory (keim pki init)")
    parser.add_argument("--store", metavar="FILE|URL", help="SQLite file or postgresql:// address")
    parser.add_argument("--wrap-key", metavar="FILE", help="key for secrets at rest; made if absent")


def configuration(args: argparse.Namespace, **options: Any) -> Any:
    """The configuration of file, environment and options, in rising order."""
    from keim.app.config import load
    from keim.app.smdp import SmdpConfig

    path = args.config or os.environ.get("KEIM_SMDP_CONFIG")
    given = {"pki": args.pki, "store": args.store, "wrap_key": args.wrap_key, **options}
    return load(
        SmdpConfig,
        None if path is None else Path(path),
        prefix="KEIM_SMDP",
        environment=os.environ,
        options=given,
    )


def run(args: argparse.Namespace) -> int:
    from keim.app.smdp import serve
    from keim.io.serve import event_loop

    config = configuration(
        args,
        listen=args.listen,
        operators_listen=args.operators_listen,
        status_listen=args.status_listen,
        address=args.address,
        tls=False if args.no_tls else None,
    )

    def ready(where: dict[str, Any]) -> None:
        if args.json:
            print_json({"type": "ready", **where})
        else:
            print(f"SM-DP+ {where['address']}, store {where['store']}")
            for name, address in where["listen"].items():
                print(f"  {name:<8} {address}")
        sys.stdout.flush()

    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(serve(config, on_ready=ready))
    note("keim smdp: stopped")
    return ExitCode.OK
