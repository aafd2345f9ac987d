"""Unpacks wheels, while their bytes arrive or from a whole file, into the store: installation is then only links."""
