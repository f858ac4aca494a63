"""Hand-over of devices to another eIM, on both sides (procedures §3.8): what is checked, said and decided.

The old eIM adds the new one to each eUICC and tells it the token; the new one proves itself by a result that
the eUICC signed; only then is the old one deleted. Pure; imports floor 0 and keim.eim only.
"""
