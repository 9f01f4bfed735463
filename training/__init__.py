"""Training and evaluation of Shelly's models; needs the extra ``train``."""
