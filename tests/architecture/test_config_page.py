"""The reference of the configuration says what the programs read."""

from __future__ import annotations

import msgspec
import pytest
from tests.architecture.config_page import PAGE, PROGRAMS, page

from keim.app.config import load
from keim.errors import Refused


def test_the_page_of_the_configuration_is_that_of_the_programs() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.architecture.config_page"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_starts_from_defaults_and_refuses_an_unknown_key_by_name(program: str) -> None:
    prefix, shape = PROGRAMS[program]
    assert isinstance(load(shape, None, prefix=prefix, environment={}), msgspec.Struct)
    with pytest.raises(Refused, match="nonsense"):
        load(shape, None, prefix=prefix, environment={f"{prefix}_NONSENSE": "1"})
