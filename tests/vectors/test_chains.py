"""Known answers for chains, CRLs and LoadCRL: every case gives exactly the verdict that its file expects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from tests.shared import needs_shared, shared_path
from tests.vectors.loading import entries_of, named

from keim.io.pem import read_certificates, read_private_key
from keim.pki import Certificate, Crl, Role, TrustStore, Validation, Verdict, validate
from keim.pki.cache import ChainCache
from keim.pki.codes import es9_code, has_same_oid, is_same_party
from keim.pki.describe import role_of
from keim.pki.load_crl import LoadCrlError, LoadedCrl, crl_of_request, load_crl, request_of, response_of

NAME = "crypto.json"


def octets(name: str, member: str = "certificates") -> bytes:
    return bytes.fromhex(named(NAME, member)[name])


def judged(case: dict[str, Any]) -> Validation:
    leaf, *others = (octets(name) for name in case["chain"])
    return validate(
        leaf,
        others,
        [octets(name) for name in case["roots"]],
        role=case["role"],
        now=datetime.fromisoformat(case["at"]),
        crls=[octets(name, "crls") for name in case.get("crls", [])],
        server_name=case.get("server_name"),
    )


@pytest.mark.parametrize("case", entries_of(NAME, "certificate_chains"))
def test_chain_gives_exactly_the_expected_verdict(case: dict[str, Any]) -> None:
    validation = judged(case)
    assert validation.verdict.value == case["expect"], validation.reason
    assert validation.ok == (case["expect"] == "ok")
    if not validation.ok:
        assert validation.refusal().code == f"pki.{case['expect']}"


@pytest.mark.parametrize("case", entries_of(NAME, "certificate_chains"))
def test_refused_euicc_chain_maps_to_the_expected_es9_code(case: dict[str, Any]) -> None:
    wanted = case.get("es9_error", "").split(" ")[0]
    code = es9_code(judged(case)) if case["role"] == "euicc" else None
    if case["expect"] == "ok":
        assert code is None
    elif "/" in wanted:
        assert code == tuple(wanted.split("/"))


@pytest.mark.parametrize("case", entries_of(NAME, "certificate_chains"))
def test_cache_gives_the_same_verdict_the_first_and_the_second_time(case: dict[str, Any]) -> None:
    cache = ChainCache()
    leaf, *others = (octets(name) for name in case["chain"])
    trust = TrustStore(octets(name) for name in case["roots"])
    for _ in range(2):
        validation = cache.validate(
            leaf,
            others,
            trust,
            role=Role(case["role"]),
            now=datetime.fromisoformat(case["at"]),
            crls=[octets(name, "crls") for name in case.get("crls", [])],
            server_name=case.get("server_name"),
        )
        assert validation.verdict.value == case["expect"]
    assert len(cache) == (case["expect"] == "ok")


@pytest.mark.parametrize("case", entries_of(NAME, "load_crl"))
def test_load_crl_answers_as_the_standard_says(case: dict[str, Any]) -> None:
    request = bytes.fromhex(case["request"])
    cis = TrustStore(octets(name) for name in case["trusted_roots"])
    outcome = load_crl(request, cis, {})
    assert response_of(outcome).hex() == case["response"]
    if case["expect"] == "ok":
        assert isinstance(outcome, LoadedCrl)
        assert outcome.crl.der.hex() == case["crl"]
        assert request_of(outcome.crl) == request
    else:
        assert outcome == LoadCrlError(case["error_code"])


@needs_shared
def test_older_crl_is_refused_once_a_newer_one_is_loaded() -> None:
    newer = Crl(octets("ci-nist-dp2auth_revoked", "crls"))
    older = Crl(octets("ci-nist-empty", "crls"))
    cis = TrustStore([octets("ci-2020-nist")])
    loaded = load_crl(request_of(newer), cis, {})
    assert isinstance(loaded, LoadedCrl)
    stored = {loaded.ci_pk_id: loaded.held}
    assert load_crl(request_of(older), cis, stored) is LoadCrlError.FRESHER_CRL_ALREADY_LOADED
    assert isinstance(load_crl(request_of(newer), cis, stored), LoadedCrl), "an equal number is no older one"


@needs_shared
def test_crl_that_a_peer_sent_with_its_own_tag_is_read_too() -> None:
    crl = Crl(octets("ci-nist-empty", "crls"))
    request = bytearray(request_of(crl))
    request[request.index(0xA0)] = 0x30
    assert crl_of_request(bytes(request)).der == crl.der


@needs_shared
def test_binding_certificate_of_another_oid_does_not_belong_to_the_session() -> None:
    now = datetime.fromisoformat("2026-11-20T12:00:00Z")
    trust = TrustStore([octets("ci-2020-nist")])
    auth = validate(octets("dpauth-2020-nist"), (), trust, role="dp-auth", now=now)
    binding = validate(octets("dppb-2020-nist"), (), trust, role="dp-pb", now=now)
    stranger = validate(octets("own-s_sm_dppb_other_oid"), (), trust, role="dp-pb", now=now)
    assert stranger.ok
    assert is_same_party(auth, binding)
    assert not is_same_party(auth, stranger)
    assert not has_same_oid(auth.leaf, stranger.leaf)


@needs_shared
def test_root_delivered_by_the_peer_is_not_trusted_for_it() -> None:
    now = datetime.fromisoformat("2026-11-20T12:00:00Z")
    chain = [octets("eum-2020-nist"), octets("ci-2020-nist")]
    validation = validate(octets("euicc-2020-nist"), chain, [octets("ci-2020-brp")], role="euicc", now=now)
    assert validation.verdict is Verdict.UNTRUSTED_ROOT
    assert len(validation.dropped) == 1
    assert es9_code(validation) == ("8.11.1", "3.9")


@needs_shared
def test_edition_of_the_root_with_the_right_name_is_chosen_among_those_of_one_key() -> None:
    session = next(iter(entries_of(NAME, "recorded_session"))).values[0]
    old = Certificate(bytes.fromhex(session["ci_2017_certificate"]))
    new = Certificate(octets("ci-2020-nist"))
    assert old.key_identifier == new.key_identifier
    now = datetime.fromisoformat("2026-11-20T12:00:00Z")
    for roots in ([old, new], [new, old]):
        assert validate(octets("dpauth-2020-nist"), (), roots, role="dp-auth", now=now).root == new
    alone = validate(octets("dpauth-2020-nist"), (), [old], role="dp-auth", now=now)
    assert alone.verdict is Verdict.ISSUER_NAME_MISMATCH


@needs_shared
@pytest.mark.parametrize("curve", ["nist", "brainpool"])
@pytest.mark.parametrize("edition", ["original-2020", "generated"])
def test_every_sgp26_key_belongs_to_a_certificate_of_its_folder(edition: str, curve: str) -> None:
    folder = shared_path(f"sgp26/{edition}/{curve}")
    keys = [read_private_key(path, must_be_private=False) for path in sorted(folder.glob("SK_*.pem"))]
    certificates = [c for path in sorted(folder.glob("CERT_*.der")) for c in read_certificates(path)]
    assert keys
    held = {certificate.public_key.public_numbers() for certificate in certificates}
    assert all(key.public_key().public_numbers() in held for key in keys)
    assert all(role_of(certificate) is not None for certificate in certificates)
