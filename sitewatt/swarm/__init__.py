"""The simulator of everything: a neighbourhood, faults and a time from one seed, judged from outside."""
