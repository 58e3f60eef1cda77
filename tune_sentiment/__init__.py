"""Which tuning method is best on your labelled text, at what cost, and is the difference real?"""

__version__ = "0.1.0"
