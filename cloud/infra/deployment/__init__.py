"""What an operator does to an AWS account: bring a stack up, say who takes part, look, take it down."""
