"""What only a GPU can show; everything here is left out without one (with `ESPALIER_REQUIRE=gpu` it fails instead)."""
