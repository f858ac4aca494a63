"""How a software card comes into being: certificates and key from a PKI, and profiles loaded at the
factory.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from keim.crypto.suites import suite_of_curve
from keim.errors import Refused
from keim.euicc.identity import Identity, Options, SigningCredential, TrustedCi
from keim.euicc.install.finish import with_profile
from keim.euicc.isdr.memory import ISDP_OCTETS, used
from keim.euicc.isdr_state import ProfileRecord
from keim.euicc.platform import file_system_of
from keim.euicc.state import CardState
from keim.ids import Eid, Iccid
from keim.pki import Curve, Role, Verdict, validate
from keim.pki.issue import Particulars
from keim.pki.world import Credential, World, add, example_eids
from keim.saip import Package
from keim.saip.store_metadata import metadata


def next_eid(world: World) -> Eid:
    """The first EID of the PKI's EUM that has no certificate yet."""
    taken = {credential.eid for credential in world.euiccs()}
    ein = next((eid[:8] for eid in taken if eid is not None), "89880000")
    return next(eid for eid in example_eids(len(taken) + 1, ein) if eid not in taken)


def with_euicc(world: World, eid: Eid, *, now: datetime) -> World:
    """The PKI with a certificate for this eUICC on each of its curves; one that exists stays."""
    for curve in world.curves:
        if world.find(f"euicc/{eid}", curve) is None:
            above = _issuer(world, curve)
            known = above.certificate.names.known
            subject = {name: known[name] for name in ("C", "O") if name in known} | {"CN": "keim Test eUICC"}
            made = add(f"euicc/{eid}", Role.EUICC, above, Particulars(subject=subject, eid=eid), now=now)
            world = world.with_credential(made)
    return world


def _issuer(world: World, curve: Curve) -> Credential:
    for role in (Role.EUM_SUB_CA, Role.EUM):
        found = world.of_role(role, curve)
        if found:
            return found[0]
    raise Refused(f"this PKI has no EUM on {curve.value}", code="pki.credential_not_found")


def require_issuable(world: World, eid: Eid, *, now: datetime) -> None:
    """Refuses an EID outside the range of the PKI's EUM: no server would take such a card's certificate."""
    for curve in world.curves:
        euicc = world.find(f"euicc/{eid}", curve)
        roots = [entry.certificate for entry in world.of_role(Role.CI, curve)]
        if euicc is None:
            continue
        verdict = validate(euicc.certificate, euicc.chain, roots, role=Role.EUICC, now=now).verdict
        if verdict is Verdict.EID_OUT_OF_RANGE:
            raise Refused(f"This PKI's EUM may not make the eUICC {eid}.", code="euicc.eid_of_another_eum")


def identity_from(
    world: World,
    eid: Eid,
    *,
    options: Options,
    default_smdp_address: str = "",
    root_smds_address: str = "",
) -> Identity:
    """The card's unchangeable part: one credential for each curve on which it has a certificate."""
    credentials = tuple(
        _credential(world, credential) for credential in world.euiccs() if credential.eid == eid
    )
    return Identity(
        eid=eid,
        credentials=credentials,
        trusted=tuple(TrustedCi(root.key_identifier, root.der) for root in world.roots),
        default_smdp_address=default_smdp_address,
        root_smds_address=root_smds_address,
        options=options,
    )


def _credential(world: World, euicc: Credential) -> SigningCredential:
    roots = world.of_role(Role.CI, euicc.curve)
    eum = euicc.chain[0] if euicc.chain else _issuer(world, euicc.curve).certificate
    return SigningCredential(
        ci_pk_id=roots[0].certificate.key_identifier,
        suite=suite_of_curve(euicc.curve.domain).name,
        private_key=euicc.private_key.private_numbers().private_value.to_bytes(32, "big"),
        certificate=euicc.certificate.der,
        eum_certificate=eum.der,
    )


def with_preloaded(
    state: CardState, octets: bytes, *, is_enabled: bool, fallback_allowed: bool | None = None
) -> CardState:
    """The state with one more profile, as the factory loads it: no session, no notifications."""
    package = Package.decode(octets)
    file_system = file_system_of(octets)
    described = metadata(package, fallback_allowed=fallback_allowed)
    if any(profile.iccid == described.iccid for profile in state.profiles):
        iccid = Iccid.from_octets(described.iccid)
        raise Refused(f"The profile {iccid} is given twice.", code="euicc.profile_twice")
    raw = described.encode()
    record = ProfileRecord(metadata=raw, is_preloaded=True)
    charge = ISDP_OCTETS + len(raw) + file_system.charge
    state, profile = with_profile(state, octets, package, record, charge)
    return state.with_profile(msgspec.structs.replace(profile, is_enabled=is_enabled))


def preloaded(
    packages: Iterable[bytes], *, is_first_enabled: bool, memory_octets: int = Options().memory_octets
) -> CardState:
    """The state of a card that leaves the factory with these profiles, if they fit into its memory."""
    state = CardState()
    for octets in packages:
        state = with_preloaded(state, octets, is_enabled=is_first_enabled and not state.profiles)
    if used(state) > memory_octets:
        raise Refused(
            f"The profiles need {used(state)} octets, the card has {memory_octets}.",
            code="euicc.profiles_too_large",
        )
    return state
