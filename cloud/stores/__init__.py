"""What is remembered, behind small protocols."""
