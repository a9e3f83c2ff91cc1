"""All comparisons, in the order of the table."""

from peers.frameworks.of_openrlhf import OF_OPENRLHF
from peers.frameworks.of_papers import OF_PAPERS
from peers.frameworks.of_trl import OF_TRL
from peers.frameworks.of_verl import OF_VERL

COMPARISONS = (*OF_PAPERS, *OF_TRL, *OF_VERL, *OF_OPENRLHF)
