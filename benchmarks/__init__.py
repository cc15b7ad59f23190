"""How fast Espalier itself is, against what people would write otherwise. Run with `nox -s bench`."""
