"""From a PKI directory to what a server is: its identities under each CI, and whom it trusts."""

from __future__ import annotations

from keim.authentication import RefusalCodes, Server, ServerIdentity, server_identity
from keim.errors import Refused
from keim.pki import Certificate, Role
from keim.pki.roles import POLICY_CONTENTS
from keim.pki.world import Credential, World

_BETWEEN = (Role.CI_SUB_CA, Role.EUM_SUB_CA)


def server_of(world: World, role: Role, addresses: tuple[str, ...], codes: RefusalCodes) -> Server:
    """The server's side of common mutual authentication, with the credentials of `role` on every curve."""
    return Server(
        addresses=addresses,
        identities=identities_of(world, role),
        trust=world.trust,
        codes=codes,
        intermediates=intermediates_of(world),
        revocations=world.revocations,
    )


def identities_of(world: World, role: Role) -> tuple[ServerIdentity, ...]:
    found = tuple(
        server_identity(credential, world.get("ci", credential.curve).certificate)
        for credential in world.of_role(role)
        if credential.key is not None
    )
    if not found:
        raise Refused(f"this PKI has no {role} certificate with its key", code="pki.credential_not_found")
    return found


def intermediates_of(world: World) -> tuple[bytes, ...]:
    """What stands between an eUICC's EUM certificate and the CI, where the tree has more than one level."""
    roles = (*_BETWEEN, Role.EUM) if world.of_role(Role.EUM_SUB_CA) else _BETWEEN
    return tuple(credential.certificate.der for role in roles for credential in world.of_role(role))


def addresses_of(credential: Credential, chosen: str | None) -> tuple[str, ...]:
    """The chosen name, else the names in the TLS certificate without those of the own machine."""
    if chosen is not None:
        return (chosen,)
    names = credential.certificate.alternative_names.dns_names
    return tuple(name for name in names if name != "localhost") or names


_RSP_POLICIES = frozenset().union(*POLICY_CONTENTS.values())


def is_operator(certificate: Certificate) -> bool:
    """A client certificate of an operator or eIM: none of the roles of provisioning (bindings §3.2)."""
    return _RSP_POLICIES.isdisjoint(certificate.policies)


def has_role(certificate: Certificate, *roles: Role) -> bool:
    return any(not POLICY_CONTENTS[role].isdisjoint(certificate.policies) for role in roles)


def name_of(certificate: Certificate) -> str:
    """How a party is called that proves itself by a certificate: its OID, else its subject."""
    oids = certificate.alternative_names.registered_ids
    return str(oids[0]) if len(oids) == 1 else certificate.names.text
