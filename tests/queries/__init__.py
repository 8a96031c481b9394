"""One file per query: given conversations, parameters, and the rows that are expected."""
