"""Side by side with pip, uv and aria2c: real wheels, real servers, one table. ``python -m bench --help``."""
