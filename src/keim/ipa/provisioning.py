"""The first association, by whoever holds the device (procedures §3.3, SGP.32 §3.5.2).

Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import call
from keim.ipa.events import LocalFunctionDone
from keim.ipa.initialise import read_eims
from keim.messages.es10b import AddInitialEimRequest, AddInitialEimResponse
from keim.messages.package import EimConfigurationData


def add_initial_eim(ipa: Ipa, entries: tuple[EimConfigurationData, ...]) -> Procedure[AddInitialEimResponse]:
    """BF57; the tokens in the answer are for the eIM's operator, who cannot sign without them."""
    response = yield from call(
        ipa, AddInitialEimRequest(eim_configuration_data_list=entries), AddInitialEimResponse
    )
    error = response.add_initial_eim_error
    yield from ipa.tell(LocalFunctionDone("add initial eim", "ok" if error is None else error.name.lower()))
    if error is None:
        yield from read_eims(ipa)
    return response
