"""The IPA: the assistant between card, eIM and RSP servers, as procedures that read like the standard.

Every procedure is a generator that yields effects (`effects`) and receives their answers; a driver performs
them (`keim.io.drive`: synchronous and asyncio; `virtual`: under a clock of its own). So one set of procedures
is an IPAd on a gateway, an IPAe inside the software eUICC, and a thousand simulated devices.

Where to look, in the order of the standard:

* `cycle` is the main loop: `initialise`, what is `pending`, then each eIM (`retrieval`).
* `package_execution`, `result_delivery`, `switch` and `rollback` are SGP.32 §3.3.1 in four steps.
* `download` is §3.2.3 for both ways; `direct` and `indirect` are the two servers that it talks to,
  `compact` the short forms, `metadata`, `cancel`, `smds` and `immediate_enable` its parts.
* `data_request`, `injection`, `notifications`, `fallback`, `emergency`, `memory_reset`, `state_change`.
* `card` carries ES10 objects in APDUs, `es10` names the functions; `esipa` calls an eIM.
* `configuration` holds every timer and switch, `memory` everything that must survive a power cut.

Floor 1: imports floor 0 only. No I/O, no clock, no randomness.
"""

from __future__ import annotations
