"""`keim eim openapi`: the OpenAPI document of the operators' API, without a server."""

from __future__ import annotations

import argparse

from keim.cli.exit_codes import ExitCode
from keim.cli.output import print_json
from keim.cli.parser import Nouns
from keim.errors import Refused


def register(verbs: Nouns) -> None:
    parser = verbs.add_parser("openapi", help="print the OpenAPI 3.1 document of the operators' API")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    try:
        from keim.api.application import routes
    except ModuleNotFoundError as error:
        raise Refused(f"the document needs the package {error.name}", code="serve.server_absent") from None
    print_json(routes().openapi())
    return ExitCode.OK
