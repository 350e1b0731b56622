"""What wires and switches say."""
