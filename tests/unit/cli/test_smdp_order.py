"""The activation code as a QR code, and the word where the library for it is absent."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from keim.cli.smdp import order

TEXT = "LPA:1$smdp.example.com$ABCDE-FGHJK"


def test_an_activation_code_is_drawn_for_phones_to_scan(capsys: pytest.CaptureFixture[str]) -> None:
    order._draw(TEXT)
    drawn = capsys.readouterr().out.splitlines()
    assert len(drawn) > 10
    assert len({len(line) for line in drawn if line.strip()}) >= 1
    assert any(block in "".join(drawn) for block in "▀▄█")


def test_without_the_library_the_code_stays_text_and_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **words: Any) -> Any:
        if name == "segno":
            raise ModuleNotFoundError(name)
        return real(name, *arguments, **words)

    monkeypatch.setattr(builtins, "__import__", absent)
    order._draw(TEXT)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "keim[server]" in captured.err
