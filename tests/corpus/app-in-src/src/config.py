NAME = "Museum"
