"""Torture: crashes at every point, interruptions, hostile files, random inputs; see `__main__`."""
