"""Where everything in a target comes from, and what is publicly known against it."""
