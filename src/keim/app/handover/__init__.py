"""Hand-over of devices to another eIM, on an eIM's store: the old side, the new side, and their papers.

Joins keim.eim.handover with keim.io.handover_store and the log's key; decides nothing that the role could.
"""
