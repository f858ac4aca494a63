"""DTLS 1.2 without sockets: records, handshakes, connection ids, resumption (docs/explanation/dtls.md).

Pure: datagrams, addresses, the time and entropy are arguments. Must never import keim.io or keim.wire.coap.
"""
