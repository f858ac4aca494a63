"""Judging servers' certificates as a card does: its own CIs, its loaded CRLs, and no clock.

Answers are remembered, because servers present the same certificate to every card of a process.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from keim.crypto.suites import suite_of_curve
from keim.pki import Certificate, Revocations, Role, TrustStore, Validation, validate
from keim.pki.roles import POLICY_CONTENTS

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


@lru_cache(maxsize=64)
def trust_store(certificates: tuple[bytes, ...]) -> TrustStore:
    return TrustStore(certificates)


@lru_cache(maxsize=64)
def _revocations(lists: tuple[bytes, ...]) -> Revocations:
    return Revocations(lists)


def trust_of(context: CardContext) -> TrustStore:
    return trust_store(tuple(ci.certificate for ci in context.identity.trusted))


def judge(context: CardContext, certificate: bytes, role: Role) -> Validation:
    """`Malformed` for octets that are no certificate."""
    roots = tuple(ci.certificate for ci in context.identity.trusted)
    lists = tuple(context.state.isdr.crls.values())
    return _judge(certificate, roots, lists, role, context.options.check_dates)


@lru_cache(maxsize=512)
def _judge(
    certificate: bytes, roots: tuple[bytes, ...], lists: tuple[bytes, ...], role: Role, now: datetime | None
) -> Validation:
    return validate(certificate, (), trust_store(roots), role=role, now=now, crls=_revocations(lists))


@lru_cache(maxsize=512)
def server_role(certificate: bytes) -> Role:
    """ds-auth when the certificate says so; whatever it is otherwise is judged as dp-auth."""
    policies = Certificate(certificate).policies
    is_smds = not POLICY_CONTENTS[Role.DS_AUTH].isdisjoint(policies)
    return Role.DS_AUTH if is_smds else Role.DP_AUTH


def suite_name_of(certificate: Certificate) -> str:
    """Of a judged certificate, whose curve is one of ours."""
    assert certificate.curve is not None
    return suite_of_curve(certificate.curve.domain).name


def registered_id(certificate: Certificate) -> str:
    return str(certificate.alternative_names.registered_ids[0])
