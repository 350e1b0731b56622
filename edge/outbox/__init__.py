"""What is kept until somebody has it: numbered records and small values in one SQLite file, committed in a thread."""
