"""The command line, and the one place where edge, cloud and simulator meet."""
