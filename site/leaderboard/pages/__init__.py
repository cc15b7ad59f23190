"""One module per kind of page: which pages there are, and what each shows."""
