"""SPACES: where each method's hyperparameters may move. Data, no logic."""

from search_spaces import adapters, freeze, full, lora, svm

SPACES = {module.SPACE.method: module.SPACE for module in (svm, full, freeze, lora, adapters)}
