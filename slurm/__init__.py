"""An experiment as SLURM jobs: the batch scripts, and `submit`, which chains them."""
