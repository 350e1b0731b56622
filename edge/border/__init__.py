"""The border between the control process and the site process: one socket, typed frames, bounded both ways."""
