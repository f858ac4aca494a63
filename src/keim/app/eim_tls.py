"""TLS of the eIM's listeners: made before workers are forked, renewed while they serve."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from keim.app.eim_config import EimConfig
from keim.app.eim_reload import Renew
from keim.app.operators import api_tls_of
from keim.io.tls import ClientCertificate, replace_certificate, replace_files, server_context
from keim.pki.world import World


def tls_of(world: World, config: EimConfig) -> ssl.SSLContext | None:
    """Made once, before workers are forked: session tickets of one are good in all."""
    if not config.tls:
        return None
    if config.client_certificates:
        return server_context(
            world.get("eim-tls"), clients=world.roots, ask=ClientCertificate.OPTIONAL, for_devices=True
        )
    return server_context(world.get("eim-tls"), for_devices=True)


class Contexts(NamedTuple):
    """TLS of the listeners; None is plain HTTP."""

    devices: ssl.SSLContext | None
    operators: ssl.SSLContext | None

    @classmethod
    def of(cls, world: World, config: EimConfig) -> Contexts:
        listen = config.api_listen
        return cls(tls_of(world, config), None if listen is None else api_tls_of(world, listen, config.api))

    def renewals(self, config: EimConfig) -> dict[str, Renew]:
        """How each listener gets its new certificate while it serves."""
        found: dict[str, Renew] = {}
        if self.devices is not None:
            found["esipa"] = renewal_of(self.devices)
        if self.operators is not None:
            given = config.api.certificate
            files = (Path(given), Path(config.api.key or given)) if given else None
            found["api"] = renewal_of(self.operators, files)
        return found


def renewal_of(context: ssl.SSLContext, files: tuple[Path, Path] | None = None) -> Renew:
    """From the PKI, or from `files` (certificate and key)."""

    def renew(world: World, now: datetime) -> datetime:
        if files is not None:
            return replace_files(context, *files, now=now).valid_until
        credential = world.get("eim-tls")
        replace_certificate(context, credential, now=now)
        return credential.certificate.valid_until

    return renew
