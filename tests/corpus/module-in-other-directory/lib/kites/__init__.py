NAMES = "kites"
