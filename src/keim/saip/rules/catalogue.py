"""The catalogue of rules: id, sentence, where it comes from, severity, fix, and the status with which a card refuses.

Severity is what lint shows; a rule with a status is one that an installing eUICC checks. Imports refusals only.
"""

from __future__ import annotations

import msgspec

from keim.saip.refusals import Severity, Status

E, W, I = Severity.ERROR, Severity.WARNING, Severity.INFO  # noqa: E741 - columns of the table below
_MODULE = "TCA profile package 3.3, ASN.1 module"
_TEXT = "TCA profile package 3.3, text"
_PROJECT = "our own rule"


class Rule(msgspec.Struct, frozen=True):
    id: str
    sentence: str
    clause: str
    severity: Severity
    fix: str
    status: Status | None = None


_BAD, _FORM, _PARAM = Status.BAD_VALUES, Status.INVALID_REQUEST_FORMAT, Status.INVALID_PARAMETER
_TABLE = (
    Rule("DER", "Every TLV is well-formed DER.", _MODULE, E, "Encode the element anew; keim never writes other forms.", _FORM),
    Rule("TRAILING", "Nothing stands after the end element.", _MODULE, E, "Remove what follows PE-End.", _FORM),
    Rule("ORD-HEADER", "There is exactly one header and it is the first element.", _TEXT, E, "Move the header to the front.", _FORM),
    Rule("ORD-END", "There is exactly one end and it is the last element.", _TEXT, E, "Append PE-End, once.", _FORM),
    Rule("ID-UNIQUE", "Every element has an identification of its own.", _TEXT, E, "Renumber the elements.", _BAD),
    Rule("VER-MAJOR", "The major version is 2 or 3.", _TEXT, E, "State version 2.3 or 3.3.", Status.UNSUPPORTED_PROFILE_VERSION),
    Rule("VER-MINOR", "The minor version is one that is published.", _TEXT, I, "State version 2.3 or 3.3."),
    Rule("VER-FEATURE", "The stated version has every element and field that is used.", _TEXT, W, "Raise the version in the header."),
    Rule("SIZE", "Every value has a length that its type allows.", _MODULE, E, "Give the value its proper length.", _PARAM),
    Rule("SERVICE", "The eUICC has every service that the header demands.", _TEXT, E, "Drop the service or use another eUICC.", Status.FEATURE_NOT_SUPPORTED),
    Rule("LIB-MISSING", "The eUICC has every library that the header demands.", _TEXT, E, "Put the library into the package.", Status.LIB_NOT_SUPPORTED),
    Rule("PE-UNKNOWN", "Every element is one of the format.", _MODULE, E, "Remove the element or clear its `mandated`.", Status.PE_NOT_SUPPORTED),
    Rule("IOT-OPTIONS", "iotOptions stands in the header exactly when there is one PE-IoT; PE-OPT-IoT needs it before.", _TEXT, E, "Add iotOptions with the PIX, or use PE-MF and PE-USIM.", _BAD),
    Rule("IOT-NOMF", "An IoT minimal profile has no PE-MF.", _TEXT, E, "Remove PE-MF: PE-IoT makes the MF.", _BAD),
    Rule("IOT-FIRST", "Only pukCodes may stand between the header and PE-IoT.", _TEXT, E, "Move PE-IoT to the front.", _BAD),
    Rule("MF-FIRST", "The MF is made before every other file.", _TEXT, E, "Put PE-MF right after the header.", _BAD),
    Rule("PUK-PLACE", "PUK codes come once: right after the MF, in an IoT profile right after the header.", _TEXT, E, "Move PE-PUKCodes.", _BAD),
    Rule("NAA-ORDER", "An element that adds files to an application follows that application, once.", _TEXT, E, "Move the element behind its ADF.", _BAD),
    Rule("TPL-UNKNOWN", "The template is known.", _TEXT, E, "Use a template of clause 9.", Status.TEMPLATE_NOT_SUPPORTED),
    Rule("TPL-VERSION", "The template belongs to the stated version.", _TEXT, W, "Use the template of that version."),
    Rule("TPL-PE", "The template fits the element.", _TEXT, E, "Use the element's own template.", _BAD),
    Rule("AKA-CTX", "Authentication parameters stand inside a network access application.", _TEXT, E, "Move the element behind the ADF that it serves.", _BAD),
    Rule("AKA-DUP", "An application has one set of authentication parameters.", _TEXT, E, "Remove all but one.", _BAD),
    Rule("AKA-MAP", "A mapping source exists before and has an algorithm of its own.", _TEXT, E, "Map to an application with algoParameter.", _BAD),
    Rule("AKA-KEYLEN", "Keys have the algorithm's length (Milenage 16 and 16, TUAK 16 or 32 and 32).", _TEXT, E, "Give key and OPc/TOPc their proper length.", _PARAM),
    Rule("AKA-SERVICE", "The header demands the algorithm that is used.", _PROJECT, W, "Add the algorithm to eUICC-Mandatory-services."),
    Rule("PIN-CONTEXT", "The MF has global key references (01-08, 0A-0E), other directories local ones (81-88, 8A-8E).", _TEXT, W, "Use a local key reference."),
    Rule("PIN-ONCE", "A directory has one PE-PINCodes with one entry for each reference.", _TEXT, E, "Join the elements.", _BAD),
    Rule("PIN-PUKREF", "The PUK that unblocks a PIN is defined.", _TEXT, E, "Add it to PE-PUKCodes.", _BAD),
    Rule("PIN-MISSING", "Every key reference of a pinStatusTemplateDO is defined.", _TEXT, E, "Add the PIN or drop the reference.", Status.PIN_CODE_MISSING),
    Rule("ARR-REF", "Every access rule that is referred to exists, can be read and names keys that exist.", "ETSI TS 102 221 §9.2.7", E, "Add the record to EF.ARR or refer to another."),
    Rule("FCP-FIELDS", "File parameters are those that the kind of file allows and needs.", _TEXT, E, "Add or remove the parameter.", _PARAM),
    Rule("FCP-FID", "File identifiers are unique in their directory and link targets exist.", "ETSI TS 102 221 §8.6", E, "Choose another identifier.", _BAD),
    Rule("FILE-OVERRUN", "Content fits into its file.", _PROJECT, E, "Enlarge efFileSize or shorten the content.", _BAD),
    Rule("FILE-REQUIRED", "Files whose template demands it have content.", _TEXT, E, "Give content, or switch the file off with doNotCreate.", _BAD),
    Rule("DNC", "doNotCreate is used in templates whose files are made by default, and not for mandatory files.", _MODULE, W, "Leave the field out instead."),
    Rule("BERTLV", "BER-TLV files are filled without offsets and the header demands ber-tlv.", _TEXT, E, "Write whole objects; add ber-tlv to the services.", _BAD),
    Rule("UST-FILES", "Services that are switched on have their files, and files their services.", "3GPP TS 31.102 §4.2.8", W, "Correct the bits of EF.UST or EF.IST."),
    Rule("DIR-AID", "Every application has a record in EF.DIR and every record an application.", "ETSI TS 102 221 §13.1", W, "Correct EF.DIR."),
    Rule("ICCID-MATCH", "EF.ICCID is the header's ICCID with swapped nibbles.", _TEXT, E, "Set both: `keim profile edit --iccid`."),
    Rule("ICCID-LUHN", "The ICCID's last digit is its check digit.", "ITU-T E.118", I, "Use the right check digit."),
    Rule("IMSI-FORM", "EF.IMSI holds an IMSI.", "3GPP TS 31.102 §4.2.2", E, "Write length, parity and swapped digits."),
    Rule("ACC-DIGIT", "EF.ACC has the class of the IMSI's last digit.", "3GPP TS 22.011 §4.2", I, "Set the bit of the last digit."),
    Rule("AD-MNC", "EF.AD gives the length of the MNC, 2 or 3.", "3GPP TS 31.102 §4.2.18", W, "Set the fourth octet of EF.AD."),
    Rule("SD-NONE", "The profile has a security domain; without one nothing can be changed over the air.", _PROJECT, W, "Add an MNO-SD, or accept it."),
    Rule("SD-PLACE", "Security domains follow files, applications and PINs.", _TEXT, E, "Move the element.", _BAD),
    Rule("SD-FIRST", "The MNO-SD is the first security domain and precedes remote management and applications.", _TEXT, E, "Move the element.", _BAD),
    Rule("SD-MNO", "The MNO-SD names no other security domain.", _TEXT, E, "Remove extraditeSecurityDomainAID.", _BAD),
    Rule("SD-KEYDUP", "A security domain has no two keys of the same version and identifier.", _TEXT, E, "Renumber the key.", _BAD),
    Rule("APP-SD", "Applications follow their security domain, which is PERSONALIZED.", _TEXT, E, "Move the element; set state 0F.", _PARAM),
    Rule("RFM-SD", "Remote file management follows its security domain, which is PERSONALIZED.", _TEXT, E, "Move the element; set state 0F.", _PARAM),
    Rule("APP-REF", "An instance's load package is in the package or on the card.", _PROJECT, E, "Add the load package or demand it in the header.", Status.LIB_NOT_SUPPORTED),
    Rule("TAR-UNIQUE", "No TAR is used twice.", "ETSI TS 101 220", E, "Choose another TAR.", _BAD),
    Rule("SEC-DEFAULTKEY", "Keys are not published or trivial values.", _PROJECT, W, "Use random keys; say `test` in profileType for a test profile."),
    Rule("SEC-WEAKMSL", "Remote management demands integrity and a counter.", _PROJECT, W, "Raise the minimum security level to 16 or above."),
    Rule("IOT-ENERGY", "Settings that cost an IoT device energy at every attach are avoided.", _PROJECT, I, "Set EF.HPPLMN to a long period and shorten PLMN lists."),
    Rule("SIZE-BUDGET", "An IoT minimal profile stays below the budget (600 octets).", _PROJECT, I, "See what each element costs: `keim profile show`."),
    Rule("MEMORY", "The profile fits into the card's memory.", _TEXT, E, "Make files smaller.", Status.NOT_ENOUGH_MEMORY),
)  # fmt: skip
RULES: dict[str, Rule] = {rule.id: rule for rule in _TABLE}
