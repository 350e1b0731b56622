"""The control cycle: snapshot, decide, write, prove, record."""
