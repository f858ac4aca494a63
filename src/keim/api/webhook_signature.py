"""For receivers of keim's webhooks: check that a message is genuine, before anything else is done with it.

    from keim.api.webhook_signature import verify

    message_id = verify(headers, body, "whsec_...", now=datetime.now(UTC))

`body` are the octets as they came. A message may come twice: its id tells. It raises
`keim.errors.BadSignature`, whose `code` says what is wrong. Imports nothing of the server.
"""

from keim.eim.webhooks.signature import TOLERANCE, verify

__all__ = ["TOLERANCE", "verify"]
