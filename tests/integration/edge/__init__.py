"""The gateway as a process, on real devices, a real broker and a real disk."""
