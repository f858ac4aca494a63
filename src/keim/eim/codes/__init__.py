"""The stock of activation codes and the catalogue of profiles, the pure part: what becomes of a code.

Must never order or download: `keim.app.code_stock` does. Imports floor 0 and keim.eim only.
"""
