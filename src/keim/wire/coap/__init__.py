"""CoAP without sockets (RFC 7252, 7959): messages, retransmission, duplicates, blocks; both ends.

Pure: it stands on any layer that carries datagrams and keeps its peers apart. Must never import keim.io.
"""
