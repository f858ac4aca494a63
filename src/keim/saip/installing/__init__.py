"""What installing a package does, element kind by element kind; `keim.saip.installation` runs it.

Must never import anything above floor 0.
"""
