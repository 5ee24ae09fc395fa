"""The project against its peers and its promises, on the same data and machine."""
