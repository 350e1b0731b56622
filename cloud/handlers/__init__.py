"""One Lambda entry per file: parse, call, answer."""
