"""A neighbourhood on one machine: real processes, real sockets, one clock."""
