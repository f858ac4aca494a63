"""The software eUICC: APDU in, APDU out, its state a value.

The frame, from the outside in:

* `card.Card` has two verbs, `transmit(apdu)` and `reset()`. It parses the APDU (`apdu`), finds the command
  in one table (`commands`), and turns the outcome into a status word: any byte string gets one.
* A command is a function `(context, apdu) -> Answer` in a file of its own under `commands/`.
  `context.CardContext` is all it sees. It computes new frozen values (`state`) and hands persistent ones to
  `context.commit`.
* `nvm.commit` is the one commit point: it lists what changed as named writes, gives them to a medium
  (memory, or the card file in `keim.io.card_file`) and seals them; `faults` cuts power between any two of
  them.
* STORE DATA collects chains and calls `es10`, where each function of the ISD-R is `(context, request) ->
  response`.
* `filesystem` runs the enabled profile's files: what the package made, plus what this card changed.
* `applets` is where applications inside the card (an IPAe) plug in.

Imports floor 0 only; no I/O, no clock; randomness comes from the `Entropy` given to the card.
"""

from __future__ import annotations
