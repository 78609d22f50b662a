"""The adapters: one module or package for each host framework, unaware of each other."""
