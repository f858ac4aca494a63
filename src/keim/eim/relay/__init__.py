"""Indirect downloads: ES9+ and ES11 on behalf of an IPA (SGP.32 §3.2.3.2, procedures §11.7).

Each function has two halves with the call between them: `prepare` reads the IPA's request and says whom to
ask what, `conclude` reads the server's answer and replies. Signed octets pass as they came.
Pure; imports floor 0 and keim.eim only.
"""
