"""Pure trading decisions: producer, consumer, battery plan."""
