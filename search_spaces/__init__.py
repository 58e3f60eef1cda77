"""SPACES: where each method's hyperparameters may move. Data, no logic."""

from search_spaces import adapters, bitfit, freeze, full, gradual, ia3, lora, svm

MODULES = (svm, full, freeze, lora, adapters, ia3, bitfit, gradual)
SPACES = {module.SPACE.method: module.SPACE for module in MODULES}
