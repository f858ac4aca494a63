"""What each role's certificate looks like: one row per role of crypto §1.4.

Issuing reads this table and nothing else, so a correction of the standard is a correction of a row.
Pure. Imports its neighbours in keim.pki only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.pki.extensions import CRL_SIGN, DIGITAL_SIGNATURE, KEY_CERT_SIGN
from keim.pki.roles import Role

ENDLESS: Final = 0
"""Validity until 9999-12-31, as eUICC certificates have."""


class CertificateProfile(msgspec.Struct, frozen=True, kw_only=True):
    """`subject` lists the attributes in their order; `issuer_role` are the roles that may sign it."""

    role: Role
    subject: tuple[str, ...]
    key_usage: int
    days: int
    issued_by: tuple[Role, ...]
    is_policy_critical: bool = True
    has_policy: bool = True
    is_ca: bool = False
    path_length: int | None = None
    has_registered_id: bool = False
    has_dns_names: bool = False
    has_ski: bool = True
    has_crl_addresses: bool = True
    has_eins: bool = False


_SERVER_ISSUERS_DP: Final = (Role.CI, Role.CI_SUB_CA, Role.DP_SUB_CA)
_SERVER_ISSUERS_DS: Final = (Role.CI, Role.CI_SUB_CA, Role.DS_SUB_CA)
_YEAR: Final = 365
_TLS_DAYS: Final = 398

PROFILES: Final[dict[Role, CertificateProfile]] = {
    row.role: row
    for row in (
        CertificateProfile(
            role=Role.CI,
            subject=("CN", "OU", "O", "C"),
            key_usage=KEY_CERT_SIGN | CRL_SIGN,
            days=35 * _YEAR,
            issued_by=(),
            is_ca=True,
            has_registered_id=True,
        ),
        CertificateProfile(
            role=Role.CI_SUB_CA,
            subject=("CN", "OU", "O", "C"),
            key_usage=KEY_CERT_SIGN | CRL_SIGN,
            days=34 * _YEAR,
            issued_by=(Role.CI,),
            is_ca=True,
            has_registered_id=True,
        ),
        CertificateProfile(
            role=Role.EUM,
            subject=("C", "O", "CN"),
            key_usage=KEY_CERT_SIGN,
            days=34 * _YEAR,
            issued_by=(Role.CI, Role.CI_SUB_CA),
            is_ca=True,
            path_length=0,
            has_registered_id=True,
            has_eins=True,
        ),
        CertificateProfile(
            role=Role.EUM_SUB_CA,
            subject=("C", "O", "CN"),
            key_usage=KEY_CERT_SIGN,
            days=33 * _YEAR,
            issued_by=(Role.EUM,),
            is_ca=True,
            path_length=0,
            has_registered_id=True,
        ),
        CertificateProfile(
            role=Role.EUICC,
            subject=("C", "O", "serialNumber", "CN"),
            key_usage=DIGITAL_SIGNATURE,
            days=ENDLESS,
            issued_by=(Role.EUM, Role.EUM_SUB_CA),
            has_crl_addresses=False,
        ),
        *(
            CertificateProfile(
                role=role,
                subject=("CN", "OU", "O", "C"),
                key_usage=KEY_CERT_SIGN | CRL_SIGN,
                days=34 * _YEAR,
                issued_by=(Role.CI, Role.CI_SUB_CA),
                is_ca=True,
                path_length=0,
                has_registered_id=True,
            )
            for role in (Role.DP_SUB_CA, Role.DS_SUB_CA)
        ),
        *(
            CertificateProfile(
                role=role,
                subject=("O", "CN"),
                key_usage=DIGITAL_SIGNATURE,
                days=3 * _YEAR,
                issued_by=issuers,
                has_registered_id=True,
            )
            for role, issuers in (
                (Role.DP_AUTH, _SERVER_ISSUERS_DP),
                (Role.DP_PB, _SERVER_ISSUERS_DP),
                (Role.DS_AUTH, _SERVER_ISSUERS_DS),
            )
        ),
        *(
            CertificateProfile(
                role=role,
                subject=("O", "CN"),
                key_usage=DIGITAL_SIGNATURE,
                days=_TLS_DAYS,
                issued_by=issuers,
                is_policy_critical=False,
                has_registered_id=True,
                has_dns_names=True,
            )
            for role, issuers in ((Role.DP_TLS, _SERVER_ISSUERS_DP), (Role.DS_TLS, _SERVER_ISSUERS_DS))
        ),
        CertificateProfile(
            role=Role.EIM_SIGN,
            subject=("C", "CN"),
            key_usage=DIGITAL_SIGNATURE,
            days=7 * _YEAR,
            issued_by=(Role.CI, Role.CI_SUB_CA),
            has_policy=False,
            has_ski=False,
            has_crl_addresses=False,
        ),
        CertificateProfile(
            role=Role.EIM_TLS,
            subject=("C", "CN"),
            key_usage=DIGITAL_SIGNATURE,
            days=_TLS_DAYS,
            issued_by=(Role.CI, Role.CI_SUB_CA),
            has_policy=False,
            has_registered_id=True,
            has_dns_names=True,
        ),
    )
}
