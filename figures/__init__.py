"""Event files and result records of runs -> figures and the report."""
