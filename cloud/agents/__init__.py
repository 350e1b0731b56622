"""The cloud's agents: what they can do, as typed skills over the core. Numbers decide; a reasoner may only propose."""
