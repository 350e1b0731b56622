"""What the programs of the house are told: plain values on a broker of theirs, and Home Assistant's discovery."""
