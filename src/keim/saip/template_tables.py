"""The file tables of the templates of clause 9, one row per field of a file-system element: data only.

Columns: tag, field, file identifier (a path below the element's directory, or a range of which the first
is taken), structure (T transparent, L linear fixed, C cyclic, B BER-TLV, MF, DF, ADF, ? unknown), size
or records x length (S, N: the package must say), record of the access-rule file, short file identifier,
default content (`FF*` the last octet repeated, `(x)*` x repeated, `a* b` a repeated and b at the end,
`=name` a content that is worked out, see templates.py), service bits, flags (`!` content must come from
the package, `listed` made only when the package names it, `U` often updated, `+..` parameters that the
package must give). The contents of the CSIM templates are not public to us: their rows carry names only,
and the sizes that 3GPP2 C.S0065 fixes where published test profiles rely on them. Imports nothing.
"""

MF = """
A2 | mf | 3F00 | MF |  | 14 |  |  |  | +P
A3 | ef-pl | 2F05 | T | 2 | 1 | 05 | FF* |  |
A4 | ef-iccid | 2FE2 | T | 10 | 11 |  |  |  | !
A5 | ef-dir | 2F00 | L | NxS | 10 | 1E |  |  | !+NS
A6 | ef-arr | 2F06 | L | NxS | 10 |  |  |  | !+NS
A7 | ef-umpc | 2F08 | T | 5 | 10 | 08 |  |  | listed
"""

CD = """
A2 | df-cd | 7F11 | DF |  | 14 |  |  |  | +P
A3 | ef-launchpad | 6F01 | T | S | 2 |  |  |  | !+S
A4 | ef-icon | 6F40-6F7E | T | S | 2 |  |  |  | !+S
"""

TELECOM = """
A2 | df-telecom | 7F10 | DF |  | 14 |  |  |  | +P
A3 | ef-arr | 6F06 | L | NxS | 10 |  |  |  | !+NS
A4 | ef-rma | 6F53 | L | NxS | 3 |  |  |  | !+NS
A5 | ef-sume | 6F54 | T | 22 | 3 |  |  |  | !
A6 | ef-ice-dn | 6FE0 | L | 50x24 | 9 |  | FF* |  |
A7 | ef-ice-ff | 6FE1 | L | NxS | 9 |  | FF* |  | +NS
A8 | ef-psismsc | 6FE5 | L | NxS | 5 |  |  | 12,91 | !+NS
A9 | df-graphics | 5F50 | DF |  | 14 |  |  |  | +P
AA | ef-img | 5F50/4F20 | L | NxS | 2 |  | 00 FF* |  | +NS
AC | ef-ice-graphics | 5F50/4F21 | B | S | 9 |  |  |  | +S
AD | ef-launch-scws | 5F50/4F01 | T | S | 10 |  |  |  | !+S
AB | ef-iidf | 5F50/4F40-4F7F | T | S | 2 |  | FF* |  | +S
AE | ef-icon | 5F50/4F80-4FBF | T | S | 10 |  |  |  | !+S
AF | df-phonebook | 5F3A | DF |  | 14 |  |  |  | !+P
B0 | ef-pbr | 5F3A/4F30 | L | NxS | 2 |  |  |  | !+NS
B1 | ef-ext1 | 5F3A/4F38-4F3F | L | Nx13 | 5 |  | 00 FF* |  | +NI
B2 | ef-aas | 5F3A/4F40-4F47 | L | NxS | 5 |  | FF* |  | +NS
B3 | ef-gas | 5F3A/4F48-4F4F | L | NxS | 5 |  | FF* |  | +NS
B4 | ef-psc | 5F3A/4F22 | T | 4 | 5 |  | 00000000 |  | +I
B5 | ef-cc | 5F3A/4F23 | T | 2 | 5 |  | 0000 |  | U+I
B6 | ef-puid | 5F3A/4F24 | T | 2 | 5 |  | 0000 |  | U+I
B7 | ef-iap | 5F3A/4F50-4F57 | L | NxS | 5 |  | FF* |  | +NSI
B8 | ef-adn | 5F3A/4F58-4F5F | L | NxS | 5 |  | FF* |  | +NSI
B9 | ef-pbc | 5F3A/4F60-4F67 | L | Nx2 | 5 |  | 00* |  | +NI
BA | ef-anr | 5F3A/4F68-4F6F | L | NxS | 5 |  | FF* |  | +NSI
BB | ef-puri | 5F3A/4F70-4F77 | L | NxS | 5 |  |  |  | !+NSI
BC | ef-email | 5F3A/4F78-4F7F | L | NxS | 5 |  | FF* |  | +NSI
BD | ef-sne | 5F3A/4F80-4F87 | L | NxS | 5 |  | FF* |  | +NSI
BE | ef-uid | 5F3A/4F88-4F8F | L | Nx2 | 5 |  | 0000 |  | +NI
BF1F | ef-grp | 5F3A/4F90-4F97 | L | NxS | 5 |  | 00* |  | +NSI
BF20 | ef-ccp1 | 5F3A/4F98-4F9F | L | NxS | 5 |  | FF* |  | +NSI
BF21 | df-multimedia | 5F3B | DF |  | 14 |  |  | 67 | +P
BF22 | ef-mml | 5F3B/4F47 | B | S | 5 |  |  | 67 | +S
BF23 | ef-mmdf | 5F3B/4F48 | B | S | 5 |  |  | 67 | +S
BF24 | df-mmss | 5F3C | DF |  | 14 |  |  |  | +P
BF25 | ef-mlpl | 5F3C/4F20 | T | S | 2 | 01 |  |  | !+S
BF26 | ef-mspl | 5F3C/4F21 | T | S | 2 | 02 |  |  | !+S
BF27 | ef-mmssmode | 5F3C/4F22 | T | 1 | 2 | 03 |  |  | !
BF28 | df-mcs | 5F3D | DF |  | 14 |  |  | usim:109 isim:15 | +P
BF29 | ef-mst | 5F3D/4F01 | T | S | 2 | 01 |  | usim:109 isim:15 | !+S
BF2A | ef-mcs-config | 5F3D/4F02 | B | S | 2 | 02 |  | usim:109 isim:15 | !+S
BF2B | df-v2x | 5F3E | DF |  | 14 |  |  | 119 | +P
BF2C | ef-vst | 5F3E/4F01 | T | S | 2 | 01 |  | 119 | !+S
BF2D | ef-v2x-config | 5F3E/4F02 | B | S | 2 | 02 |  | 119 | !+S
BF2E | ef-v2xp-pc5 | 5F3E/4F03 | T | S | 2 |  |  | 119 | !+S
BF2F | ef-v2xp-Uu | 5F3E/4F04 | T | S | 2 |  |  | 119 | !+S
"""

USIM = """
A2 | adf-usim |  | ADF |  | 14 |  |  |  | +AFP
A3 | ef-imsi | 6F07 | T | 9 | 2 | 07 |  |  | !
A4 | ef-arr | 6F06 | L | NxS | 10 | 17 |  |  | !+NS
A5 | ef-keys | 6F08 | T | 33 | 5 | 08 | 07 FF* |  | U
A6 | ef-keysPS | 6F09 | T | 33 | 5 | 09 | 07 FF* |  | U
A7 | ef-hpplmn | 6F31 | T | 1 | 2 | 12 | 0A |  |
A8 | ef-ust | 6F38 | T | 17 | 2 | 04 |  |  | !
A9 | ef-fdn | 6F3B | L | 20x26 | 8 |  | FF* | 2,89 |
AA | ef-sms | 6F3C | L | 10x176 | 5 |  | 00 FF* | 10 |
AB | ef-smsp | 6F42 | L | 1x38 | 5 |  | FF* | 12 |
AC | ef-smss | 6F43 | T | 2 | 5 |  | FFFF | 10 |
AD | ef-spn | 6F46 | T | 17 | 10 |  |  | 19 | !
AE | ef-est | 6F56 | T | 1 | 8 | 05 |  | 2,6,34,35 | !
AF | ef-start-hfn | 6F5B | T | 6 | 5 | 0F | F00000F00000 |  | U
B0 | ef-threshold | 6F5C | T | 3 | 2 | 10 | FFFFFF |  |
B1 | ef-psloci | 6F73 | T | 14 | 5 | 0C | FFFFFFFFFFFFFFFFFFFF0000FF01 |  | U
B2 | ef-acc | 6F78 | T | 2 | 2 | 06 |  |  | !
B3 | ef-fplmn | 6F7B | T | 12 | 5 | 0D | FF* |  |
B4 | ef-loci | 6F7E | T | 11 | 5 | 0B | FFFFFFFFFFFFFF0000FF01 |  | U
B5 | ef-ad | 6FAD | T | 4 | 10 | 03 | 00000002 |  |
B6 | ef-ecc | 6FB7 | L | 1x4 | 10 | 01 |  |  | !
B7 | ef-netpar | 6FC4 | T | 128 | 5 |  | FF* |  | U
B8 | ef-epsloci | 6FE3 | T | 18 | 5 | 1E | FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000001 | 85 | U
B9 | ef-epsnsc | 6FE4 | L | 1x80 | 5 | 18 | FF* | 85 | U
"""

OPT_USIM = """
A2 | ef-li | 6F05 | T | 6 | 1 | 02 | FF* |  |
A3 | ef-acmax | 6F37 | T | 3 | 5 |  | 000000 | 13 |
A4 | ef-acm | 6F39 | C | 1x3 | 7 |  | 000000 | 13 | U
A5 | ef-gid1 | 6F3E | T | 8 | 2 |  |  | 17 | !
A6 | ef-gid2 | 6F3F | T | 8 | 2 |  |  | 18 | !
A7 | ef-msisdn | 6F40 | L | 1x24 | 2 |  | FF* | 21 |
A8 | ef-puct | 6F41 | T | 5 | 5 |  | FFFFFF0000 | 13 |
A9 | ef-cbmi | 6F45 | T | 10 | 5 |  | FF* | 15 |
AA | ef-cbmid | 6F48 | T | 10 | 2 | 0E | FF* | 29 |
AB | ef-sdn | 6F49 | L | 10x24 | 2 |  | FF* | 4,89 |
AC | ef-ext2 | 6F4B | L | 10x13 | 8 |  | 00 FF* | 3 |
AD | ef-ext3 | 6F4C | L | 10x13 | 2 |  | 00 FF* | 5 |
AE | ef-cbmir | 6F50 | T | 20 | 5 |  | FF* | 16 |
AF | ef-plmnwact | 6F60 | T | 40 | 5 | 0A | (FFFFFF0000)* | 20 |
B0 | ef-oplmnwact | 6F61 | T | 40 | 2 | 11 | (FFFFFF0000)* | 42 |
B1 | ef-hplmnwact | 6F62 | T | 5 | 2 | 13 | FFFFFF0000 | 43 |
B2 | ef-dck | 6F2C | T | 16 | 5 |  | FF* | 36 |
B3 | ef-cnl | 6F32 | T | 30 | 2 |  | FF* | 37 |
B4 | ef-smsr | 6F47 | L | 10x30 | 5 |  | 00 FF* | 11 |
B5 | ef-bdn | 6F4D | L | 10x25 | 8 |  | FF* | 6 |
B6 | ef-ext5 | 6F4E | L | 10x13 | 5 |  | 00 FF* | 44 |
B7 | ef-ccp2 | 6F4F | L | 5x15 | 5 | 16 | FF* | 14 |
B8 | ef-ext4 | 6F55 | L | 10x13 | 8 |  | 00 FF* | 7 |
B9 | ef-acl | 6F57 | T | 101 | 8 |  | 00 FF* | 35 |
BA | ef-cmi | 6F58 | L | 10x11 | 2 |  | FF* | 6 |
BB | ef-ici | 6F80 | C | 20x38 | 5 | 14 | FF* FF0000000001FFFF | 9 | U
BC | ef-oci | 6F81 | C | 20x37 | 5 | 15 | FF* FF00000001FFFF | 8 | U
BD | ef-ict | 6F82 | C | 1x3 | 7 |  | 000000 | 9 | U
BE | ef-oct | 6F83 | C | 1x3 | 7 |  | 000000 | 8 | U
BF1F | ef-vgcs | 6FB1 | T | 20 | 2 |  |  | 57 | !
BF20 | ef-vgcss | 6FB2 | T | 7 | 5 |  |  | 57 | !
BF21 | ef-vbs | 6FB3 | T | 20 | 2 |  |  | 58 | !
BF22 | ef-vbss | 6FB4 | T | 7 | 5 |  |  | 58 | !
BF23 | ef-emlpp | 6FB5 | T | 2 | 2 |  |  | 24 | !
BF24 | ef-aaem | 6FB6 | T | 1 | 5 |  | 00 | 25 |
BF25 | ef-hiddenkey | 6FC3 | T | 4 | 5 |  | FF* |  |
BF26 | ef-pnn | 6FC5 | L | 10x16 | 10 | 19 |  | 45 | !
BF27 | ef-opl | 6FC6 | L | 5x8 | 10 | 1A |  | 46 | !
BF28 | ef-mbdn | 6FC7 | L | 3x24 | 5 |  |  | 47 | !
BF29 | ef-ext6 | 6FC8 | L | 10x13 | 5 |  | 00 FF* | 47 |
BF2A | ef-mbi | 6FC9 | L | 10x5 | 5 |  |  | 47 | !
BF2B | ef-mwis | 6FCA | L | 10x6 | 5 |  | 00* | 48 | U
BF2C | ef-cfis | 6FCB | L | 10x16 | 5 |  | 0100 FF* | 49 |
BF2D | ef-ext7 | 6FCC | L | 10x13 | 5 |  | 00 FF* | 49 |
BF2E | ef-spdi | 6FCD | T | 17 | 2 | 1B |  | 51 | !
BF2F | ef-mmsn | 6FCE | L | 10x6 | 5 |  | 000000 FF* | 52 |
BF30 | ef-ext8 | 6FCF | L | 10x13 | 5 |  | 00 FF* | 53 |
BF31 | ef-mmsicp | 6FD0 | T | 100 | 2 |  | FF* | 52 |
BF32 | ef-mmsup | 6FD1 | L | NxS | 5 |  | FF* | 52 | +NS
BF33 | ef-mmsucp | 6FD2 | T | 100 | 5 |  | FF* | 52,55 |
BF34 | ef-nia | 6FD3 | L | 5x11 | 2 |  | FF* | 56 |
BF35 | ef-vgcsca | 6FD4 | T | S | 2 |  | 00* | 64 | +S
BF36 | ef-vbsca | 6FD5 | T | S | 2 |  | 00* | 65 | +S
BF37 | ef-gbabp | 6FD6 | T | S | 5 |  | FF* | 68 | +S
BF38 | ef-msk | 6FD7 | L | NxS | 2 |  | FF* | 69 | U+NS
BF39 | ef-muk | 6FD8 | L | NxS | 2 |  | FF* | 69 | +NS
BF3A | ef-ehplmn | 6FD9 | T | 15 | 2 | 1D | FF* | 71 |
BF3B | ef-gbanl | 6FDA | L | NxS | 2 |  | FF* | 68 | +NS
BF3C | ef-ehplmnpi | 6FDB | T | 1 | 2 |  | 00 | 71,73 |
BF3D | ef-lrplmnsi | 6FDC | T | 1 | 2 |  | 00 | 74 |
BF3E | ef-nafkca | 6FDD | L | NxS | 2 |  | FF* | 68,76 | +NS
BF3F | ef-spni | 6FDE | T | S | 10 |  | 00 FF* | 78 | +S
BF40 | ef-pnni | 6FDF | L | NxS | 10 |  | 00 FF* | 79 | +NS
BF41 | ef-ncp-ip | 6FE2 | L | NxS | 2 |  |  | 80 | !+NS
BF42 | ef-ufc | 6FE6 | T | 30 | 10 |  | 801E60C01E900080040000000000000000F0000000004000000000000080 |  |
BF43 | ef-nasconfig | 6FE8 | T | 18 | 2 |  |  | 96 | !
BF44 | ef-uicciari | 6FE7 | L | NxS | 2 |  |  | 95 | !+NS
BF45 | ef-pws | 6FEC | T | S | 10 |  |  | 97 | !+S
BF46 | ef-fdnuri | 6FED | L | NxS | 8 |  | FF* | 2,99 | +NS
BF47 | ef-bdnuri | 6FEE | L | NxS | 8 |  | FF* | 6,99 | +NS
BF48 | ef-sdnuri | 6FEF | L | NxS | 2 |  | FF* | 4,99 | +NS
BF49 | ef-ial | 6FF0 | L | NxS | 3 |  | FF* | 102 | +NS
BF4A | ef-ips | 6FF1 | C | Nx4 | 10 |  | FF* | 102 | U+N
BF4B | ef-ipd | 6FF2 | L | NxS | 3 |  | FF* | 102 | U+NS
BF4C | ef-epdgid | 6FF3 | T | S | 2 |  |  | 106&107 | !+S
BF4D | ef-epdgselection | 6FF4 | T | S | 2 |  |  | 106&107 | !+S
BF4E | ef-epdgidem | 6FF5 | T | S | 2 |  |  | 110&111 | !+S
BF4F | ef-epdgselectionem | 6FF6 | T | S | 2 |  |  | 110&111 | !+S
BF50 | ef-frompreferred | 6FF7 | T | 1 | 2 |  | 00 | 114 |
BF51 | ef-imsconfigdata | 6FF8 | B | S | 2 |  |  | 115 | !+S
BF52 | ef-3gpppsdataoff | 6FF9 | T | 4 | 2 |  |  | 117 | !
BF53 | ef-3gpppsdataoffservicelist | 6FFA | L | NxS | 2 |  |  | 118 | !+NS
BF54 | ef-xcapconfigdata | 6FFC | B | S | 2 |  |  | 120 | !+S
BF55 | ef-earfcnlist | 6FFD | T | S | 10 |  |  | 121 | !+S
BF56 | ef-mudmidconfigdata | 6FFE | B | S | 2 |  |  | 134 | !+S
BF57 | ef-eaka | 6F01 | T | 1 | 3 |  |  |  | !
"""

ISIM = """
A2 | adf-isim |  | ADF |  | 14 |  |  |  | +AFP
A3 | ef-impi | 6F02 | T | S | 2 | 02 |  |  | !+S
A4 | ef-impu | 6F04 | L | 1xS | 2 | 04 |  |  | !+S
A5 | ef-domain | 6F03 | T | S | 2 | 05 |  |  | !+S
A6 | ef-ist | 6F07 | T | 14 | 2 | 07 |  |  | !
A7 | ef-ad | 6FAD | T | 3 | 10 | 03 | 000000 |  |
A8 | ef-arr | 6F06 | L | NxS | 10 | 06 |  |  | !+NS
"""

OPT_ISIM = """
A2 | ef-pcscf | 6F09 | L | 1xS | 2 |  |  | 1,5 | !+S
A3 | ef-sms | 6F3C | L | 10x176 | 5 |  | 00 FF* | 6,8 |
A4 | ef-smsp | 6F42 | L | 1x38 | 5 |  | FF* | 8 |
A5 | ef-smss | 6F43 | T | 2 | 5 |  | FFFF | 6,8 |
A6 | ef-smsr | 6F47 | L | 10x30 | 5 |  | 00 FF* | 7,8 |
A7 | ef-gbabp | 6FD5 | T | S | 5 |  | FF* | 2 | +S
A8 | ef-gbanl | 6FD7 | L | NxS | 2 |  | FF* | 2 | +NS
A9 | ef-nafkca | 6FDD | L | NxS | 2 |  | FF* | 2,4 | +NS
AA | ef-uicciari | 6FE7 | L | NxS | 2 |  |  | 10 | !+NS
AB | ef-frompreferred | 6FF7 | T | 1 | 2 |  | 00 | 17 |
AC | ef-imsconfigdata | 6FF8 | B | S | 2 |  |  | 18 | !+S
AD | ef-xcapconfigdata | 6FFC | B | S | 2 |  |  | 19 | !+S
AE | ef-webrtcuri | 6FFA | L | NxS | 2 |  |  | 20 | !+NS
AF | ef-mudmidconfigdata | 6FFE | B | S | 2 |  |  | 21 | !+S
"""

PHONEBOOK = """
A2 | df-phonebook | 5F3A | DF |  | 14 |  |  |  | !+P
A3 | ef-pbr | 5F3A/4F30 | L | NxS | 2 |  |  |  | !+NS
A4 | ef-ext1 | 5F3A/4F38-4F3F | L | Nx13 | 5 |  | 00 FF* |  | +NI
A5 | ef-aas | 5F3A/4F40-4F47 | L | NxS | 5 |  | FF* |  | +NS
A6 | ef-gas | 5F3A/4F48-4F4F | L | NxS | 5 |  | FF* |  | +NS
A7 | ef-psc | 5F3A/4F22 | T | 4 | 5 |  | 00000000 |  | +I
A8 | ef-cc | 5F3A/4F23 | T | 2 | 5 |  | 0000 |  | U+I
A9 | ef-puid | 5F3A/4F24 | T | 2 | 5 |  | 0000 |  | U+I
AA | ef-iap | 5F3A/4F50-4F57 | L | NxS | 5 |  | FF* |  | +NSI
AB | ef-adn | 5F3A/4F58-4F5F | L | NxS | 5 |  | FF* |  | +NSI
AC | ef-pbc | 5F3A/4F60-4F67 | L | Nx2 | 5 |  | 00* |  | +NI
AD | ef-anr | 5F3A/4F68-4F6F | L | NxS | 5 |  | FF* |  | +NSI
AE | ef-puri | 5F3A/4F70-4F77 | L | NxS | 5 |  |  |  | !+NSI
AF | ef-email | 5F3A/4F78-4F7F | L | NxS | 5 |  | FF* |  | +NSI
B0 | ef-sne | 5F3A/4F80-4F87 | L | NxS | 5 |  | FF* |  | +NSI
B1 | ef-uid | 5F3A/4F88-4F8F | L | Nx2 | 5 |  | 0000 |  | +NI
B2 | ef-grp | 5F3A/4F90-4F97 | L | NxS | 5 |  | 00* |  | +NSI
B3 | ef-ccp1 | 5F3A/4F98-4F9F | L | NxS | 5 |  | FF* |  | +NSI
"""

GSM_ACCESS = """
A2 | df-gsm-access | 5F3B | DF |  | 14 |  |  | 27 | +P
A3 | ef-kc | 4F20 | T | 9 | 5 | 01 | FF* FF07 | 27 | U
A4 | ef-kcgprs | 4F52 | T | 9 | 5 | 02 | FF* FF07 | 27 | U
A5 | ef-cpbcch | 4F63 | T | 10 | 5 |  | FF* | 39 | U
A6 | ef-invscan | 4F64 | T | 1 | 2 |  | 00 | 40 |
"""

DF_5GS = """
A2 | df-df-5gs | 5FC0 | DF |  | 14 |  |  | 122,126,127,128,129,130 | +P
A3 | ef-5gs3gpploci | 4F01 | T | 20 | 5 | 01 | FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001 | 122 | U
A4 | ef-5gsn3gpploci | 4F02 | T | 20 | 5 | 02 | FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001 | 122 | U
A5 | ef-5gs3gppnsc | 4F03 | L | 2x62 | 5 | 03 | FF* | 122,136 | U
A6 | ef-5gsn3gppnsc | 4F04 | L | 2x62 | 5 | 04 | FF* | 122,136 | U
A7 | ef-5gauthkeys | 4F05 | T | 110 | 5 | 05 |  | 123 | !U
A8 | ef-uac-aic | 4F06 | T | 4 | 2 | 06 |  | 126 | !
A9 | ef-suci-calc-info | 4F07 | T | S | 2 | 07 | FF* | 124 | +S
AA | ef-opl5g | 4F08 | L | Nx10 | 10 | 08 | FF* | 129 | +N
AB | ef-supinai | 4F09 | T | S | 2 | 09 |  | 130 | !+S
AC | ef-routing-indicator | 4F0A | T | 4 | 2 | 0A | F0FF0000 | 124 |
AD | ef-ursp | 4F0B | B | S | 2 |  |  | 132 | +S
AE | ef-tn3gppsnn | 4F0C | T | 1 | 2 | 0C | 00 | 135 |
AF | ef-cag | 4F0D | T | 2 | 2 | 0D |  | 137 | !
B0 | ef-sor-cmci | 4F0E | T | S | 2 | 0E |  | 138 | !+S
B1 | ef-dri | 4F0F | T | 7 | 2 | 0F |  | 150 | !
B2 | ef-5gsedrx | 4F10 | T | 2 | 2 | 10 |  | 141 | !
B3 | ef-5gnswo-conf | 4F11 | T | 1 | 2 | 11 |  | 142 | !
B4 | ef-mchpplmn | 4F15 | T | 1 | 2 | 15 |  | 144 | !
B5 | ef-kausf-derivation | 4F16 | T | 1 | 2 | 16 |  | 145 | !
"""

DF_SAIP = """
A2 | df-df-saip | 5FD0 | DF |  | 14 |  |  | 124&125 | +P
A3 | ef-suci-calc-info-usim | 4F01 | T | S | 3 |  | FF* | 125 | +S
"""

DF_SNPN = """
A2 | df-df-snpn | 5FE0 | DF |  | 14 |  |  | 143 | +P
A3 | ef-pws-snpn | 4F01 | T | 1 | 10 |  |  | 143 | !
"""

DF_5GPROSE = """
A2 | df-df-5g-prose | 5FF0 | DF |  | 14 |  |  | 139 | +P
A3 | ef-5g-prose-st | 4F01 | T | 1 | 2 | 01 |  | 139 | !
A4 | ef-5g-prose-dd | 4F02 | T | 26 | 2 | 02 |  | 139,1001 | !
A5 | ef-5g-prose-dc | 4F03 | T | 12 | 2 | 03 |  | 139,1002 | !
A6 | ef-5g-prose-u2nru | 4F04 | T | 32 | 2 | 04 |  | 139,1003 | !
A7 | ef-5g-prose-ru | 4F05 | T | 29 | 2 | 05 |  | 139,1004 | !
A8 | ef-5g-prose-uir | 4F06 | T | 32 | 2 | 06 |  | 139,1005 | !
"""

EAP = """
A2 | df-eap |  | DF |  | 14 |  |  |  | +FP
A3 | ef-eapkeys | 4F01 | T | S | 2 |  |  |  | !U+S
A4 | ef-eapstatus | 4F02 | T | 1 | 2 |  | 00 |  | U
A5 | ef-puid | 4F03 | T | S | 2 |  |  |  | !+S
A6 | ef-ps | 4F04 | T | S | 5 |  | FF* |  | U+S
A7 | ef-curid | 4F20 | T | S | 5 |  | FF* |  | U+S
A8 | ef-reid | 4F21 | T | S | 5 |  |  |  | !+S
A9 | ef-realm | 4F22 | T | S | 5 |  |  |  | !+S
"""

IOT = """
A2 | mf | 3F00 | MF |  | 14 |  |  |  |
A3 | ef-pl | 2F05 | T | 2 | 1 | 05 | FF* |  |
A4 | ef-iccid | 2FE2 | T | 10 | 11 |  | =iccid |  |
A5 | ef-dir | 2F00 | L |  | 10 | 1E | =dir |  |
A6 | ef-arr | 2F06 | L |  | 10 |  | =arr |  |
A7 | ef-umpc | 2F08 | T | 5 | 10 | 08 |  |  | listed
A8 | adf-usim |  | ADF |  | 14 |  |  |  |
A9 | ef-imsi | 6F07 | T | 9 | 2 | 07 |  |  | !
AA | ef-arr-usim | 6F06 | L |  | 10 | 17 | =arr |  |
AB | ef-keys | 6F08 | T | 33 | 5 | 08 | 07 FF* |  | U
AC | ef-keysPS | 6F09 | T | 33 | 5 | 09 | 07 FF* |  | U
AD | ef-hpplmn | 6F31 | T | 1 | 2 | 12 | 0A |  |
AE | ef-ust | 6F38 | T | 17 | 2 | 04 | =ust |  |
AF | ef-start-hfn | 6F5B | T | 6 | 5 | 0F | F00000F00000 |  | U
B0 | ef-threshold | 6F5C | T | 3 | 2 | 10 | FFFFFF |  |
B1 | ef-psloci | 6F73 | T | 14 | 5 | 0C | FFFFFFFFFFFFFFFFFFFF0000FF01 |  | U
B2 | ef-acc | 6F78 | T | 2 | 2 | 06 |  |  | !
B3 | ef-fplmn | 6F7B | T | 12 | 5 | 0D | FF* |  |
B4 | ef-loci | 6F7E | T | 11 | 5 | 0B | FFFFFFFFFFFFFF0000FF01 |  | U
B5 | ef-ad | 6FAD | T | 4 | 10 | 03 | 00000002 |  |
B6 | ef-ecc | 6FB7 | L | 1x4 | 10 | 01 | =ecc |  |
B7 | ef-netpar | 6FC4 | T | 128 | 5 |  | FF* |  | U
"""

OPT_IOT = """
A2 | ef-fdn | 6F3B | L | 20x26 | 8 |  | FF* | 2,89 |
A3 | ef-sms | 6F3C | L | 10x176 | 5 |  | 00 FF* | 10 |
A4 | ef-smsp | 6F42 | L | 1x38 | 5 |  | FF* | 12 |
A5 | ef-smss | 6F43 | T | 2 | 5 |  | FFFF | 10 |
A6 | ef-spn | 6F46 | T | 17 | 10 |  |  | 19 | !
A7 | ef-est | 6F56 | T | 1 | 8 | 05 |  | 2,6,34,35 | !
A8 | ef-oplmnwact | 6F61 | T | 40 | 2 | 11 | (FFFFFF0000)* | 42 |
A9 | ef-hplmnwact | 6F62 | T | 5 | 2 | 13 | FFFFFF0000 | 43 |
AA | ef-ehplmn | 6FD9 | T | 15 | 2 | 1D | FF* | 71 |
AB | ef-epsloci | 6FE3 | T | 18 | 5 | 1E | FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000001 | 85 | U
AC | ef-epsnsc | 6FE4 | L | 1x80 | 5 | 18 | FF* | 85 | U
AD | df-df-5gs | 5FC0 | DF |  | 14 |  |  | 122,126,127,128,129,130 | +P
AE | ef-5gs3gpploci | 4F01 | T | 20 | 5 | 01 | FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001 | 122 | U
AF | ef-5gsn3gpploci | 4F02 | T | 20 | 5 | 02 | FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001 | 122 | U
B0 | ef-5gs3gppnsc | 4F03 | L | 1x57 | 5 | 03 | FF* | 122 | U
B1 | ef-5gsn3gppnsc | 4F04 | L | 1x57 | 5 | 04 | FF* | 122 | U
B2 | ef-5gauthkeys | 4F05 | T | 110 | 5 | 05 |  | 123 | !U
B3 | ef-uac-aic | 4F06 | T | 4 | 2 | 06 |  | 126 | !
B4 | ef-suci-calc-info | 4F07 | T | S | 2 | 07 | FF* | 124 | +S
B5 | ef-opl5g | 4F08 | L | Nx10 | 10 | 08 | FF* | 129 | +N
B6 | ef-supi-nai | 4F09 | T | S | 2 | 09 |  | 130 | !+S
B7 | ef-routing-indicator | 4F0A | T | 4 | 2 | 0A | F0FFFFFF | 124 |
B8 | ef-ursp | 4F0B | B | S | 2 |  |  | 132 | +S
B9 | ef-tn3gppsnn | 4F0C | T | 1 | 2 | 0C | 00 | 135 |
BA | df-df-saip | 5FD0 | DF |  | 14 |  |  | 124&125 | +P
BB | ef-suci-calc-info-usim | 4F01 | T | S | 3 |  | FF* | 125 | +S
"""

CSIM = """
A2 | adf-csim |  | ADF |  |  |  |  |  | +AFP
A3 | ef-arr |  | ? |  |  |  |  |  |
A4 | ef-call-count |  | ? | 2 |  |  |  |  |
A5 | ef-imsi-m |  | ? | 10 |  |  |  |  |
A6 | ef-imsi-t |  | ? | 10 |  |  |  |  |
A7 | ef-tmsi |  | ? |  |  |  |  |  |
A8 | ef-ah |  | ? | 2 |  |  |  |  |
A9 | ef-aop |  | ? |  |  |  |  |  |
AA | ef-aloc |  | ? | 7 |  |  |  |  |
AB | ef-cdmahome |  | ? |  |  |  |  |  |
AC | ef-znregi |  | ? |  |  |  |  |  |
AD | ef-snregi |  | ? |  |  |  |  |  |
AE | ef-distregi |  | ? | 8 |  |  |  |  |
AF | ef-accolc |  | ? |  |  |  |  |  |
B0 | ef-term |  | ? |  |  |  |  |  |
B1 | ef-acp |  | ? |  |  |  |  |  |
B2 | ef-prl |  | ? |  |  |  |  |  |
B3 | ef-ruimid |  | ? |  |  |  |  |  |
B4 | ef-csim-st |  | ? |  |  |  |  |  |
B5 | ef-spc |  | ? | 3 |  |  |  |  |
B6 | ef-otapaspc |  | ? |  |  |  |  |  |
B7 | ef-namlock |  | ? |  |  |  |  |  |
B8 | ef-ota |  | ? |  |  |  |  |  |
B9 | ef-sp |  | ? |  |  |  |  |  |
BA | ef-esn-meid-me |  | ? | 8 |  |  |  |  |
BB | ef-li |  | ? |  |  |  |  |  |
BC | ef-usgind |  | ? |  |  |  |  |  |
BD | ef-ad |  | ? | 3 |  |  |  |  |
BE | ef-max-prl |  | ? |  |  |  |  |  |
BF1F | ef-spcs |  | ? |  |  |  |  |  |
BF20 | ef-mecrp |  | ? | 3 |  |  |  |  |
BF21 | ef-home-tag |  | ? |  |  |  |  |  |
BF22 | ef-group-tag |  | ? |  |  |  |  |  |
BF23 | ef-specific-tag |  | ? |  |  |  |  |  |
BF24 | ef-call-prompt |  | ? |  |  |  |  |  |
"""

OPT_CSIM = """
A2 | ef-ssci |  | ? |  |  |  |  |  |
A3 | ef-fdn |  | ? |  |  |  |  |  |
A4 | ef-sms |  | ? |  |  |  |  |  |
A5 | ef-smsp |  | ? |  |  |  |  |  |
A6 | ef-smss |  | ? |  |  |  |  |  |
A7 | ef-ssfc |  | ? |  |  |  |  |  |
A8 | ef-spn |  | ? | 35 |  |  |  |  |
A9 | ef-mdn |  | ? |  |  |  |  |  |
AA | ef-ecc |  | ? |  |  |  |  |  |
AB | ef-me3gpdopc |  | ? |  |  |  |  |  |
AC | ef-3gpdopm |  | ? |  |  |  |  |  |
AD | ef-sipcap |  | ? |  |  |  |  |  |
AE | ef-mipcap |  | ? |  |  |  |  |  |
AF | ef-sipupp |  | ? |  |  |  |  |  |
B0 | ef-mipupp |  | ? |  |  |  |  |  |
B1 | ef-sipsp |  | ? |  |  |  |  |  |
B2 | ef-mipsp |  | ? |  |  |  |  |  |
B3 | ef-sippapss |  | ? |  |  |  |  |  |
B4 | ef-puzl |  | ? |  |  |  |  |  |
B5 | ef-maxpuzl |  | ? |  |  |  |  |  |
B6 | ef-hrpdcap |  | ? |  |  |  |  |  |
B7 | ef-hrpdupp |  | ? |  |  |  |  |  |
B8 | ef-csspr |  | ? | 1 |  |  |  |  |
B9 | ef-atc |  | ? |  |  |  |  |  |
BA | ef-eprl |  | ? |  |  |  |  |  |
BB | ef-bcsmscfg |  | ? |  |  |  |  |  |
BC | ef-bcsmspref |  | ? |  |  |  |  |  |
BD | ef-bcsmstable |  | ? |  |  |  |  |  |
BE | ef-bcsmsp |  | ? |  |  |  |  |  |
BF1F | ef-bakpara |  | ? |  |  |  |  |  |
BF20 | ef-upbakpara |  | ? |  |  |  |  |  |
BF21 | ef-mmsn |  | ? |  |  |  |  |  |
BF22 | ef-ext8 |  | ? |  |  |  |  |  |
BF23 | ef-mmsicp |  | ? |  |  |  |  |  |
BF24 | ef-mmsup |  | ? |  |  |  |  |  |
BF25 | ef-mmsucp |  | ? |  |  |  |  |  |
BF26 | ef-auth-capability |  | ? |  |  |  |  |  |
BF27 | ef-3gcik |  | ? |  |  |  |  |  |
BF28 | ef-dck |  | ? |  |  |  |  |  |
BF29 | ef-gid1 |  | ? |  |  |  |  |  |
BF2A | ef-gid2 |  | ? |  |  |  |  |  |
BF2B | ef-cdmacnl |  | ? |  |  |  |  |  |
BF2C | ef-sf-euimid |  | ? |  |  |  |  |  |
BF2D | ef-est |  | ? |  |  |  |  |  |
BF2E | ef-hidden-key |  | ? |  |  |  |  |  |
BF2F | ef-lcsver |  | ? |  |  |  |  |  |
BF30 | ef-lcscp |  | ? |  |  |  |  |  |
BF31 | ef-sdn |  | ? |  |  |  |  |  |
BF32 | ef-ext2 |  | ? |  |  |  |  |  |
BF33 | ef-ext3 |  | ? |  |  |  |  |  |
BF34 | ef-ici |  | ? |  |  |  |  |  |
BF35 | ef-oci |  | ? |  |  |  |  |  |
BF36 | ef-ext5 |  | ? |  |  |  |  |  |
BF37 | ef-ccp2 |  | ? |  |  |  |  |  |
BF38 | ef-applabels |  | ? |  |  |  |  |  |
BF39 | ef-model |  | ? | 126 |  |  |  |  |
BF3A | ef-rc |  | ? |  |  |  |  |  |
BF3B | ef-smscap |  | ? |  |  |  |  |  |
BF3C | ef-mipflags |  | ? |  |  |  |  |  |
BF3D | ef-3gpduppext |  | ? |  |  |  |  |  |
BF3E | ef-ipv6cap |  | ? |  |  |  |  |  |
BF3F | ef-tcpconfig |  | ? |  |  |  |  |  |
BF40 | ef-dgc |  | ? |  |  |  |  |  |
BF41 | ef-wapbrowsercp |  | ? |  |  |  |  |  |
BF42 | ef-wapbrowserbm |  | ? |  |  |  |  |  |
BF43 | ef-mmsconfig |  | ? |  |  |  |  |  |
BF44 | ef-jdl |  | ? |  |  |  |  |  |
"""
