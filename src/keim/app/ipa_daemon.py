"""The IPA as a daemon: cycles, pauses that a control command or a signal ends, local functions."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keim.app.config import host_and_port
from keim.app.ipa import Assistant, IpaConfig, closing
from keim.app.ipa_injection import take_injected
from keim.errors import KeimError, Refused
from keim.io.ipa_coap_listener import CoapListener
from keim.io.ipa_control import Command
from keim.io.ipa_listener import Injected, Listener
from keim.io.pem import read_certificates
from keim.io.tls import ClientCertificate, server_context, tls_credential
from keim.ipa.context import Ipa
from keim.ipa.cycle import Cycle, pause_after, run_cycle
from keim.ipa.effects import Procedure
from keim.ipa.emergency import disable_emergency_profile, enable_emergency_profile
from keim.ipa.fallback import execute_fallback, return_from_fallback
from keim.ipa.initialise import initialise
from keim.ipa.status import status_of
from keim.messages.es10b import (
    DisableEmergencyProfileResult,
    EnableEmergencyProfileResult,
    ExecuteFallbackMechanismResult,
    ReturnFromFallbackResult,
)
from keim.pki import Role

LocalResult = (
    ExecuteFallbackMechanismResult
    | ReturnFromFallbackResult
    | EnableEmergencyProfileResult
    | DisableEmergencyProfileResult
)
LOCAL_FUNCTIONS: Mapping[str, Callable[[Ipa], Procedure[LocalResult]]] = {
    "fallback": execute_fallback,
    "return": return_from_fallback,
    "emergency-on": enable_emergency_profile,
    "emergency-off": disable_emergency_profile,
}
WORDS = (*LOCAL_FUNCTIONS, "poll", "status")


def run_local(assistant: Assistant, word: str) -> dict[str, Any]:
    """One local function on a freshly started IPA; the card's word for how it went."""

    def procedure(ipa: Ipa) -> Procedure[str]:
        yield from initialise(ipa)
        result = yield from LOCAL_FUNCTIONS[word](ipa)
        return result.name.lower()

    return {"function": word, "result": assistant.run(closing(procedure))}


def run_once(assistant: Assistant, *, is_wanted_now: bool = True) -> tuple[Cycle, float]:
    """One cycle, and how long to pause after it."""

    def procedure(ipa: Ipa) -> Procedure[tuple[Cycle, float]]:
        cycle = yield from run_cycle(ipa, is_wanted_now=is_wanted_now)
        return cycle, (yield from pause_after(ipa, cycle))

    return assistant.run(procedure)


def run_daemon(
    assistant: Assistant,
    commands: queue.Queue[Command | Injected | None],
    *,
    on_cycle: Callable[[Cycle, float], None],
    on_failure: Callable[[KeimError], None],
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Until None comes through the queue. A command is carried out between two cycles."""
    is_wanted_now = True
    while True:
        try:
            cycle, pause_s = run_once(assistant, is_wanted_now=is_wanted_now)
        except KeimError as failure:
            on_failure(failure)
            pause_s = assistant.configuration.timers.poll_busy_s
        else:
            on_cycle(cycle, pause_s)
        is_wanted_now = False
        until = monotonic() + pause_s
        while (left := until - monotonic()) > 0 and not is_wanted_now:
            try:
                command = commands.get(timeout=min(left, 3600.0))
            except queue.Empty:
                continue
            if command is None:
                return
            if isinstance(command, Injected):
                _take(assistant, command, on_failure)
            else:
                is_wanted_now = _carry_out(assistant, command, on_failure)


def _take(assistant: Assistant, injected: Injected, on_failure: Callable[[KeimError], None]) -> None:
    injected.taken.set()
    if injected.is_abandoned:
        return  # its eIM was told to come back
    try:
        take_injected(assistant, injected)
    except KeimError as failure:
        on_failure(failure)


def _carry_out(assistant: Assistant, command: Command, on_failure: Callable[[KeimError], None]) -> bool:
    """Whether a cycle is wanted at once: after a poll command, and after a switch, to tell the eIMs."""
    if command.word == "poll":
        command.answer({"function": "poll", "result": "ok"})
        return True
    if command.word not in WORDS:
        command.answer({"error": f"the words are {', '.join(WORDS)}"})
        return False
    try:
        is_status = command.word == "status"
        document = assistant.run(status_of) if is_status else run_local(assistant, command.word)
    except KeimError as failure:
        on_failure(failure)
        command.answer({"error": str(failure), "code": failure.code})
        return False
    command.answer(document)
    return bool(document.get("result") == "ok")


def coap_listener_of(
    config: IpaConfig, commands: queue.Queue[Command | Injected | None]
) -> CoapListener | None:
    """The listener for packages injected over CoAP, where one is configured."""
    if not config.coap.listen:
        return None
    device = config.coap.device()
    if device.key is None:
        raise Refused(
            "a device that is called over CoAP proves itself: [coap] needs a key", code="config.invalid"
        )
    host, port = host_and_port(config.coap.listen, "listen of [coap]")
    return CoapListener(host, port, device.key, device.chain, commands)


def listener_of(config: IpaConfig, commands: queue.Queue[Command | Injected | None]) -> Listener | None:
    """The listener for packages injected over HTTPS, where one is configured."""
    if not config.listen:
        return None
    credential = tls_credential(Path(config.listen_certificate), Path(config.listen_key), Role.EIM_TLS)
    clients = read_certificates(Path(config.listen_client_ca)) if config.listen_client_ca else []
    ask = ClientCertificate.OPTIONAL if clients else ClientCertificate.NOT_ASKED
    context = server_context(credential, clients=clients, ask=ask)
    host, port = host_and_port(config.listen, "listen")
    return Listener(host, port, context, commands)
