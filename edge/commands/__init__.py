"""What others command: who may, what runs, what it did, the proof."""
