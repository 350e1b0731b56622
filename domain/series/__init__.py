"""Series as people have them: bytes of an export in, a regular series and one line of what was understood out."""
