"""The eIM: what it orders of eUICCs, signs, delivers, verifies and remembers (SGP.32 §2.11, §3, §5.14).

Sans-IO: each message is answered by a pure function of the rows that a store has loaded, the moment and
entropy; it returns the reply, changed rows, events and errands. Start with `answer` (the table of messages),
`get_eim_package` (the queue) and `results` (what a result changes). Imports floor 0 and keim.authentication
only, never another role.
"""
