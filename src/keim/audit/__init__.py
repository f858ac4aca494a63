"""The audit log: every event a leaf of a Merkle tree, so that an outsider can check what an operator tells.

A leaf (`leaf`) carries the eIM's signed package or the eUICC's signed result itself. `tree` and `tiles` are
RFC 6962 in the layout of C2SP tlog-tiles, `note` and `checkpoint` the signed notes, `proofs` inclusion and
consistency, `export` one file with all of it, `verification` what reads that file and believes nothing.
A role: sans-IO; imports floor 0 only, never another role, an edge or a file.
"""
