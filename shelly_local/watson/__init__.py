"""IBM Watson Visual Recognition v3: the same call in Python and over HTTP."""
