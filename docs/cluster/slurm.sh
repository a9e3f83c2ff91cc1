#!/bin/bash
# A sweep as a job array: each task measures one shard. Submit again what was killed: finished cells are not repeated.
#SBATCH --array=1-100 --cpus-per-task=4 --mem=8G
gradest run core --shard $SLURM_ARRAY_TASK_ID/100 --jobs 4 --out parts/$SLURM_ARRAY_TASK_ID
