"""First set-up of a gateway, and the proof that it will run: what is asked, what is written, what is checked."""
