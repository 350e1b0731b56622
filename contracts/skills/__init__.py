"""What the five agents can be asked, and what they answer: the typed questions and answers that every door shares."""
