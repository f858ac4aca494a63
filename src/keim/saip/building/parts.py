"""What both shapes are made of: credentials, security domain, remote file management, steps of a file.

Must never import anything above floor 0.
"""

from __future__ import annotations

from keim.der import Sequence
from keim.saip.elements import (
    AdfRfmAccess,
    AkaParameter,
    Algorithm,
    AlgorithmConfiguration,
    AlgorithmParameter,
    ApplicationInstance,
    ApplicationParameters,
    Fcp,
    FileItem,
    KeyComponent,
    KeyObject,
    PeHeader,
    Rfm,
    SecurityDomain,
    Services,
)
from keim.saip.file_element import FileSystemElement, Steps
from keim.saip.recipe import DomainKeys, Recipe

USIM_PIX = bytes.fromhex("1002FF49FF0589")
USIM_AID = bytes.fromhex("A000000087") + USIM_PIX
USIM_FID = b"\x7f\xd0"
ECC = bytes.fromhex("11F2FF00")
MINIMUM_SECURITY = b"\x16"
"""SPI1 of remote commands: checksum, ciphering, counter higher than the last."""

Value = Sequence | FileSystemElement


def pe_header(number: int) -> PeHeader:
    return PeHeader(mandated=True, identification=number)


def services(recipe: Recipe) -> Services:
    is_tuak = recipe.algorithm is Algorithm.TUAK
    return Services(
        usim=True,
        milenage=not is_tuak,
        tuak128=is_tuak and len(recipe.ki) == 16,
        tuak256=is_tuak and len(recipe.ki) == 32,
    )


def authentication(recipe: Recipe, number: int) -> AkaParameter:
    parameter = AlgorithmParameter(
        algorithm_id=recipe.algorithm, algorithm_options=b"\x00", key=recipe.ki, opc=recipe.opc
    )
    return AkaParameter(
        header=pe_header(number), algo_configuration=AlgorithmConfiguration(algo_parameter=parameter)
    )


def administrative_data(recipe: Recipe) -> bytes:
    return b"\x00\x00\x00" + bytes((recipe.mcc_mnc_length - 3,))


def security_domain(keys: DomainKeys, number: int) -> SecurityDomain:
    """An MNO-SD for SCP80 with one AES key set, and the TARs of remote application management."""
    toolkit = b"\x01\x00\x00\x00\x00\x02\x01" + MINIMUM_SECURITY + b"\x06\xb2\x01\x00\x00\x00\x00\x00"
    instance = ApplicationInstance(
        load_package_aid=bytes.fromhex("A0000001515350"),
        class_aid=bytes.fromhex("A000000151535041"),
        instance_aid=bytes.fromhex("A000000151000000"),
        application_privileges=bytes.fromhex("82DC00"),
        life_cycle_state=b"\x0f",
        application_specific_parameters=bytes.fromhex("810280008201F08301F08701F0"),
        application_parameters=ApplicationParameters(uicc_toolkit=toolkit),
    )
    key_list = tuple(
        KeyObject(
            key_usage_qualifier=bytes((usage,)),
            key_identifier=bytes((identifier,)),
            key_version_number=b"\x01",
            key_components=(KeyComponent(key_type=b"\x88", key_data=value),),
        )
        for identifier, usage, value in ((1, 0x18, keys.kic), (2, 0x14, keys.kid), (3, 0x48, keys.dek))
    )
    return SecurityDomain(header=pe_header(number), instance=instance, key_list=key_list)


def remote_files(number: int) -> Rfm:
    """Remote file management of the UICC and, as default directory, the USIM."""
    return Rfm(
        header=pe_header(number),
        instance_aid=bytes.fromhex("A00000055910100001"),
        tar_list=(b"\xb0\x01\x20",),
        minimum_security_level=MINIMUM_SECURITY,
        uicc_access_domain=b"\x00",
        uicc_admin_access_domain=b"\x00",
        adf_rfm_access=AdfRfmAccess(
            adf_aid=USIM_AID, adf_access_domain=b"\x00", adf_admin_access_domain=b"\x00"
        ),
    )


def described(
    *,
    file_descriptor: bytes | None = None,
    file_id: bytes | None = None,
    df_name: bytes | None = None,
    ef_file_size: bytes | None = None,
    pin_status_template: bytes | None = None,
) -> FileItem:
    return FileItem(
        file_descriptor=Fcp(
            file_descriptor=file_descriptor,
            file_id=file_id,
            df_name=df_name,
            ef_file_size=ef_file_size,
            pin_status_template=pin_status_template,
        )
    )


def content_steps(octets: bytes) -> Steps:
    return (FileItem(fill_file_content=octets),)


def record_descriptor(length: int) -> bytes:
    return b"\x42\x21" + length.to_bytes(2, "big")
