"""The only place that touches the world: sockets, files, readers, clocks."""
