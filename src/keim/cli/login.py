"""`keim login`: remember an eIM and let a person in, by an identity provider or with a token of keim.

What is stored is readable by its owner alone; the other commands find it there.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import ssl
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.api.client.connection import Connection
    from keim.api.client.models import WayIn


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "login",
        help="sign in at an eIM, so that the other commands know it",
        description="Sign in by your identity provider in a browser, or store a token (--with-token).",
    )
    parser.add_argument("--api", metavar="URL", help="the operators' API (or KEIM_API_URL)")
    parser.add_argument("--ca", metavar="FILE", help="authority of the server's certificate (or KEIM_API_CA)")
    parser.add_argument("--tenant", metavar="NAME", help="the tenant to act for")
    parser.add_argument("--with-token", action="store_true", help="read a token of keim from stdin")
    parser.add_argument("--issuer", metavar="URL", help="which identity provider, where there are several")
    parser.add_argument("--provider-ca", metavar="FILE", help="authority of the provider's certificate")
    parser.add_argument("--port", type=int, default=0, help="where the browser comes back to (default: any)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address to open")
    parser.add_argument("--show", action="store_true", help="only say who is signed in, and where")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.api.client.connection import renewed, store, stored_at

    path = stored_at(os.environ)
    if args.show:
        found = renewed(path, datetime.now(UTC))
        if found is None:
            raise Refused("nobody is signed in", code="client.not_connected")
    else:
        found = _by_token(args) if args.with_token else _by_provider(args)
    document = _checked(found)
    if not args.show:
        store(found, path)
        note(f"stored in {path}")
    if args.json:
        print_json(document)
    else:
        scopes = ", ".join(map(str, document["scopes"]))
        print(f"{document['actor']} at {found.url}, tenant {document['tenant']}: {scopes}")
    return ExitCode.OK


def _checked(connection: Connection) -> dict[str, list[str] | str]:
    """Nothing is stored that the eIM does not take."""
    from keim.api.client import Client

    with Client(
        connection.url,
        token=connection.token,
        tenant=connection.tenant,
        ca_file=connection.ca_file or None,
    ) as client:
        me = client.me()
    return {
        "actor": me.actor,
        "tenant": me.tenant,
        "scopes": list(me.scopes),
        "url": connection.url,
        "eim_id": me.eim_id,
    }


def _place(args: argparse.Namespace) -> tuple[str, str]:
    from keim.api.client.connection import CA_FILE, URL

    url = args.api or os.environ.get(URL, "")
    if not url:
        raise Refused("give the eIM's address with --api", code="client.not_connected")
    return url, args.ca or os.environ.get(CA_FILE, "")


def _by_token(args: argparse.Namespace) -> Connection:
    from keim.api.client.connection import Connection

    url, ca_file = _place(args)
    text = getpass.getpass("token: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not text.strip():
        raise Refused("no token was given on stdin", code="client.bad_input")
    return Connection(url=url, token=text.strip(), ca_file=ca_file, tenant=args.tenant or "")


def _by_provider(args: argparse.Namespace) -> Connection:
    from keim.api.client import Client
    from keim.api.client.connection import Connection
    from keim.io.entropy import OsEntropy
    from keim.io.oidc.login import Way, sign_in

    url, ca_file = _place(args)
    with Client(url, ca_file=ca_file or None) as client:
        way = _chosen(client.ways_in(), args.issuer)
    try:
        tls = ssl.create_default_context(cafile=args.provider_ca)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"{args.provider_ca}: {error}", code="client.bad_input") from None

    def show(address: str) -> None:
        note(f"Open this address in a browser to sign in:\n  {address}")
        if not args.no_browser:
            import webbrowser

            # A browser in the terminal ends when its person leaves it, and shows what we answer before that.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    signed_in = asyncio.run(
        sign_in(
            Way(
                issuer=way.issuer,
                client_id=way.client_id,
                client_secret=way.client_secret,
                scopes=way.scopes,
                parameters=way.parameters,
                token=way.token,
            ),
            tls=tls,
            entropy=OsEntropy(),
            now=lambda: datetime.now(UTC),
            show=show,
            port=args.port,
        )
    )
    return Connection(
        url=url,
        token=signed_in.token,
        ca_file=ca_file,
        tenant=args.tenant or "",
        signed_in=signed_in,
        provider_ca=args.provider_ca or "",
    )


def _chosen(ways: tuple[WayIn, ...], issuer: str | None) -> WayIn:
    known = ", ".join(way.issuer for way in ways)
    if not ways:
        raise Refused("this eIM knows no identity provider: use --with-token", code="client.no_way_in")
    fitting = [way for way in ways if issuer in (None, way.issuer)]
    if len(fitting) != 1:
        raise Refused(f"choose one with --issuer: {known}", code="client.no_way_in")
    return fitting[0]
