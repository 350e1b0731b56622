"""What only files need: clear, settle, replay, simulate."""
