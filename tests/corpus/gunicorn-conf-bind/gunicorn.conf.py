bind = "0.0.0.0:9876"
workers = 1
