"""SPACES: where each method's hyperparameters may move. Data, no logic."""

from search_spaces import full, lora, svm

SPACES = {module.SPACE.method: module.SPACE for module in (svm, full, lora)}
