"""Pure market: book, auction, settlement, ledger, baseline."""
