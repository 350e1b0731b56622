"""What crosses a wire between sites and cloud, and nothing else."""
